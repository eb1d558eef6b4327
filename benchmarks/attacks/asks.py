"""The requests of one owner, in a process of its own: many connections that ask again and again.

`python -m benchmarks.attacks.asks PORT CONNECTIONS TIMES KEY PATH…` opens the connections, prints
`open`, asks when it reads a line, and prints how many requests were answered, were refused with
429 or above, and were on a connection that was cut. The path `upload` is a small upload.
"""

import asyncio
import resource
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.attacks.target import Connection, connected

#: How long answers are waited for.
PATIENCE_SECONDS = 240.0
UPLOAD = "upload"
_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n{}\r\n--b--\r\n'
)


def _request(path: str, key: str) -> bytes:
    common = f"HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    if path != UPLOAD:
        return f"GET {path} {common}\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(_FORM)}\r\n\r\n"
    return f"POST /v1/files {common}{kind}".encode() + _FORM


async def _ask(connection: Connection, requests: Sequence[bytes], ends: Counter[str]) -> None:
    left = len(requests)
    try:
        for request in requests:
            await connection.send(request)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await connection.reader.readexactly(int(length))
            ends["answered" if head.split(b" ", 2)[1] < b"429" else "refused"] += 1
            left -= 1
    except (ConnectionError, asyncio.IncompleteReadError):
        ends["cut"] += left


async def _flood(port: int, connections: int, times: int, key: str, paths: list[str]) -> None:
    opened = [await connected(port) for _ in range(connections)]
    print("open", flush=True)
    sys.stdin.readline()
    requests = [_request(paths[n % len(paths)], key) for n in range(times)]
    ends: Counter[str] = Counter()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        for connection in opened:
            tasks.create_task(_ask(connection, requests, ends))
    print(ends["answered"], ends["refused"], ends["cut"], flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, connections, times, key, *paths = sys.argv[1:]
    asyncio.run(_flood(int(port), int(connections), int(times), key, paths))
