"""Row 2: what a node holds of uploads that do not end, and of requests that are not answered."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import Connection, Target

UPLOADS = 300
#: Requests that wait for an answer.
REQUESTS = 60
#: Of each, sent at once and then no more: less than a form goes to a temporary file with.
BYTES = 900_000
#: How long the node is given to take or refuse them all.
SETTLE_SECONDS = 1.0
_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
)


async def _upload(connection: Connection) -> None:
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 * BYTES}\r\n\r\n"
    )
    # One that is refused is closed while it is sent.
    with suppress(ConnectionError):
        await connection.send(head.encode() + _FORM + b"x" * BYTES)


async def _ask(connection: Connection) -> None:
    body = json.dumps({"input": "\N{GRINNING FACE}" + "x" * BYTES}, ensure_ascii=False).encode()
    head = (
        "POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with suppress(ConnectionError):
        await connection.send(head.encode() + body)


async def _unfinished(target: Target) -> float:
    """Return the MB by which a node grows with many uploads of one owner."""
    return await _held(target, UPLOADS, _upload)


async def _unanswered(target: Target) -> float:
    """Return the MB by which a node grows with many requests of one owner."""
    return await _held(target, REQUESTS, _ask)


async def _held(
    target: Target, number: int, begin: Callable[[Connection], Awaitable[None]]
) -> float:
    connections = [await target.connect() for _ in range(number)]

    async def send() -> None:
        await asyncio.gather(*map(begin, connections))
        await asyncio.sleep(SETTLE_SECONDS)

    try:
        return await target.growth(send())
    finally:
        for connection in connections:
            connection.drop()


_ENVIRON = {"TURNSTREAM_NODE_BYTES": str(16 * 1024 * 1024)}
ATTACKS = (
    Attack(
        row="2",
        name=f"{UPLOADS} uploads of 0.9 MB that do not end, with `NODE_BYTES` of 16 MiB",
        unit="MB",
        run=_unfinished,
        # The owner's half, and what any connection costs.
        most=20,
        alone=True,
        environ=_ENVIRON,
    ),
    Attack(
        row="2",
        name=f"{REQUESTS} requests of 0.9 MB over HTTP, one emoji in each, with `NODE_BYTES` of"
        " 16 MiB",
        unit="MB",
        run=_unanswered,
        most=40,
        alone=True,
        environ=_ENVIRON,
    ),
)
