"""The requests of one owner, in a process of its own: many connections that ask again and again.

`python -m benchmarks.attacks.asks PORT CONNECTIONS TIMES KEY PATH…` opens the connections, prints
`open`, asks when it reads a line, and prints how many requests were answered, were refused with
429 or above, and were on a connection that was cut; then when each was answered, in seconds of the
machine's clock. The path `upload` is a small upload, `body` a
request that takes long to read, and `schema` one whose schema takes long to compile, and is another
each time; both are for a model that there is not.
"""

import asyncio
import json
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.attacks.target import Connection, connected

#: How long answers are waited for.
PATIENCE_SECONDS = 240.0
UPLOAD, BODY, SCHEMA = "upload", "body", "schema"
#: Schemas of a body, and branches of each: as many as it may have.
_TOOLS, _BRANCHES = 4, 32_000
#: Properties of a schema: about as many as it may have.
_PROPERTIES = 1_500
_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n{}\r\n--b--\r\n'
)


def _request(path: str, key: str) -> bytes:
    match path:
        case _ if path == UPLOAD:
            return _post("/v1/files", key, "multipart/form-data; boundary=b", _FORM)
        case _ if path == BODY:
            schema = {"anyOf": [{}] * _BRANCHES}
            tools = [
                {"type": "function", "name": f"f{n}", "parameters": schema} for n in range(_TOOLS)
            ]
            return _ask_for(key, {"tools": tools})
        case _ if path == SCHEMA:
            names = (secrets.token_hex(4) for _ in range(_PROPERTIES))
            schema = {
                "type": "object",
                "properties": {name: {"enum": [f"{name}a", f"{name}b"]} for name in names},
            }
            form = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
            return _ask_for(key, {"text": form})
        case _:
            return f"GET {path} {_common(key)}\r\n".encode()


def _common(key: str) -> str:
    return f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"


def _ask_for(key: str, fields: dict[str, object]) -> bytes:
    body = json.dumps({"input": "Hi", "model": "unknown"} | fields).encode()
    return _post("/v1/responses", key, "application/json", body)


def _post(path: str, key: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} {_common(key)}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _ask(
    connection: Connection, requests: Sequence[bytes], ends: Counter[str], times: list[float]
) -> None:
    left = len(requests)
    try:
        for request in requests:
            await connection.send(request)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await connection.reader.readexactly(int(length))
            ends["answered" if head.split(b" ", 2)[1] < b"429" else "refused"] += 1
            times.append(time.monotonic())
            left -= 1
    except (ConnectionError, asyncio.IncompleteReadError):
        ends["cut"] += left


async def _flood(port: int, connections: int, times: int, key: str, paths: list[str]) -> None:
    opened = [await connected(port) for _ in range(connections)]
    # Those of one path are the same, but for schemas.
    made = {path: _request(path, key) for path in paths}
    requests = [
        [
            _request(path, key) if path == SCHEMA else made[path]
            for path in (paths[n % len(paths)] for n in range(times))
        ]
        for _ in opened
    ]
    print("open", flush=True)
    sys.stdin.readline()
    ends: Counter[str] = Counter()
    times: list[float] = []
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        for connection, own in zip(opened, requests, strict=True):
            tasks.create_task(_ask(connection, own, ends, times))
    print(ends["answered"], ends["refused"], ends["cut"])
    print(*(f"{each:.6f}" for each in times), flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, connections, times, key, *paths = sys.argv[1:]
    asyncio.run(_flood(int(port), int(connections), int(times), key, paths))
