"""Rows 2, 5 and 9: what an open WebSocket may send."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import PATIENCE_SECONDS, Target

_FRAGMENT = b"\x00\x81" + bytes(4) + b"x"
_EMPTY_FRAGMENT = b"\x00\x80" + bytes(4)
_BEGIN = b"\x01\x80" + bytes(4)
_MESSAGE = b"\x81\x81" + bytes(4) + b"x"
_PING = b"\x89\xfd" + bytes(4) + b"x" * 125
#: Bytes of fragments, and of pings, that are sent.
_FRAGMENT_BYTES, _PING_BYTES = 28 * 1024 * 1024, 64 * 1024 * 1024
_FLOOD_SECONDS = 4.0


def _fragments(piece: bytes) -> Callable[[Target], Awaitable[float]]:
    async def run(target: Target) -> float:
        connection = await target.upgraded()
        await connection.send(_BEGIN)
        times = _FRAGMENT_BYTES // len(piece) // 1000
        try:
            return await target.growth(connection.send_all(piece * 1000, times))
        finally:
            connection.drop()

    return run


async def _unread_pings(target: Target) -> float:
    connection = await target.upgraded()
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    times = _PING_BYTES // len(_PING) // 100
    try:
        return await target.growth(connection.send_all(_PING * 100, times))
    finally:
        connection.drop()


def _beside(piece: bytes) -> Callable[[Target], Awaitable[float]]:
    """Return an attack that floods one socket; its figure is the slowest health check beside it."""

    async def run(target: Target) -> float:
        connection = await target.upgraded()

        async def flood() -> None:
            with suppress(ConnectionError):
                while True:
                    await connection.send(piece)

        async def read() -> None:
            while await connection.reader.read(65536):
                pass

        tasks = [asyncio.create_task(flood()), asyncio.create_task(read())]
        slowest, end = 0.0, time.perf_counter() + _FLOOD_SECONDS
        while time.perf_counter() < end:
            slowest = max(slowest, await target.health_seconds())
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        connection.drop()
        return slowest

    return run


async def _not_minimal(target: Target) -> float:
    """Send a length of one in two bytes; return how long it is before the server closes."""
    connection = await target.upgraded()
    await connection.send(b"\x81\xfe\x00\x01" + bytes(4) + b"x")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            begun = time.perf_counter()
            while await connection.reader.read(4096):
                pass
            return time.perf_counter() - begun
    except TimeoutError:
        return PATIENCE_SECONDS
    finally:
        connection.drop()


async def _bad_text(target: Target) -> float:
    """Send a text that is not UTF-8; return the lines that are logged."""
    before = target.log_lines()
    connection = await target.upgraded()
    await connection.send(b"\x81\x81" + bytes(4) + b"\xff")
    await connection.closed_after()
    connection.drop()
    return target.log_lines() - before


_MEGABYTES = 2.0

ATTACKS = (
    Attack(
        row="2",
        name="28 MB of fragments of one byte",
        unit="MB",
        run=_fragments(_FRAGMENT),
        most=_MEGABYTES,
    ),
    Attack(
        row="2",
        name="28 MB of empty fragments",
        unit="MB",
        run=_fragments(_EMPTY_FRAGMENT),
        most=_MEGABYTES,
    ),
    Attack(
        row="5", name="64 MB of pings, nothing read", unit="MB", run=_unread_pings, most=_MEGABYTES
    ),
    Attack(
        row="5",
        name="health check beside messages of one byte",
        unit="s",
        run=_beside(_MESSAGE * 2000),
        most=0.1,
    ),
    Attack(row="5", name="health check beside pings", unit="s", run=_beside(_PING * 100), most=0.1),
    Attack(
        row="9",
        name="a length that is not minimal",
        unit="s until closed",
        run=_not_minimal,
        most=1,
        waits=True,
    ),
    Attack(row="9", name="a text that is not UTF-8", unit="log lines", run=_bad_text, most=0),
)
