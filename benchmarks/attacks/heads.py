"""Rows 2 and 4: requests that do not end, and handshakes that are not usual. None needs a key."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import PATIENCE_SECONDS, UPGRADE, Target

#: Bytes that are sent, unless the server ends the connection before.
MUCH = 16 * 1024 * 1024
_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_POST = b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _endless(start: bytes, piece: bytes) -> Callable[[Target], Awaitable[float]]:
    async def run(target: Target) -> float:
        connection = await target.connect()
        await connection.send(start)
        try:
            return await target.growth(connection.send_all(piece, MUCH // len(piece)))
        finally:
            connection.drop()

    return run


async def _pipelined(target: Target) -> float:
    # Nothing is read, so the server can't send its answers either.
    connections = [await target.connect() for _ in range(4)]
    for connection in connections:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def send() -> None:
        piece = (_GET + b"\r\n") * 1000
        await asyncio.gather(*(each.send_all(piece, 100) for each in connections))

    try:
        return await target.growth(send()) / len(connections)
    finally:
        for connection in connections:
            connection.drop()


def _waiting(start: bytes, drip: bytes = b"") -> Callable[[Target], Awaitable[float]]:
    """Return an attack that sends a start and then a byte a second; its figure is when it ends."""

    async def run(target: Target) -> float:
        connection = await target.connect()
        await connection.send(start)

        async def dripping() -> None:
            while drip and not connection.writer.is_closing():
                connection.writer.write(drip)
                await asyncio.sleep(1)

        task = asyncio.create_task(dripping())
        try:
            return await connection.closed_after()
        finally:
            connection.drop()
            task.cancel()

    return run


def _answer(head: bytes, status: bytes) -> Callable[[Target], Awaitable[float]]:
    """Return an attack whose figure is how long the answer with this status takes."""

    async def run(target: Target) -> float:
        connection = await target.connect()
        begun = time.perf_counter()
        await connection.send(head + b"\r\n")
        try:
            got = await connection.head()
        except (TimeoutError, EOFError, ConnectionError):
            return PATIENCE_SECONDS
        finally:
            connection.drop()
        return time.perf_counter() - begun if status in got.splitlines()[0] else PATIENCE_SECONDS

    return run


async def _silent_at_256(target: Target) -> float:
    """Open 300 silent connections; return the lines that are logged in five seconds."""
    before = target.log_lines()
    connections = [await target.connect() for _ in range(300)]
    await asyncio.sleep(5)
    for connection in connections:
        connection.drop()
    return target.log_lines() - before


_DEADLINES = (
    ("silent TCP", _waiting(b"")),
    ("half a handshake", _waiting(UPGRADE)),
    ("a head that drips", _waiting(_GET + b"a: ", b"a")),
    ("a body that drips", _waiting(_POST + b"Content-Length: 99999\r\n\r\n", b"a")),
    ("chunks that drip", _waiting(_CHUNKED, b"1\r\na\r\n")),
)
_HANDSHAKES = (
    ("a handshake with 200 headers: 431", _answer(UPGRADE + b"a: b\r\n" * 200, b" 431 ")),
    ("a handshake with a body: 400", _answer(UPGRADE + b"Content-Length: 3\r\n", b" 400 ")),
    (
        "a handshake with a 9 kB cookie: 101",
        _answer(UPGRADE + b"Cookie: " + b"x" * 9000 + b"\r\n", b" 101 "),
    ),
    ("two Host headers: 400", _answer(_GET + b"Host: b\r\n", b" 400 ")),
    ("`Host: [`: 400", _answer(b"GET / HTTP/1.1\r\nHost: [\r\n", b" 400 ")),
)
#: A figure of memory that is noise.
_MEGABYTES = 2.0

ATTACKS = (
    *(
        Attack(row="2", name=name, unit="MB", run=_endless(start, piece), most=_MEGABYTES)
        for name, start, piece in (
            ("endless small headers", _GET, b"a:b\r\n" * 1000),
            ("an endless header", _GET + b"Authorization: Bearer ", b"x" * 4096),
            ("endless trailers", _CHUNKED + b"1\r\nx\r\n0\r\n", b"a:b\r\n" * 1000),
            ("endless chunk extensions", _CHUNKED + b"1;", b"x" * 4096),
        )
    ),
    Attack(
        row="2",
        name="pipelined, nothing read (a connection)",
        unit="MB",
        run=_pipelined,
        most=_MEGABYTES,
    ),
    *(
        Attack(row="4", name=name, unit="s until closed", run=run, most=12, waits=True)
        for name, run in _DEADLINES
    ),
    *(
        Attack(row="4", name=name, unit="s", run=run, most=1, waits=True)
        for name, run in _HANDSHAKES
    ),
    Attack(
        row="4",
        name="300 silent connections, 256 descriptors",
        unit="log lines in 5 s",
        run=_silent_at_256,
        most=5,
        descriptors=256,
    ),
)
