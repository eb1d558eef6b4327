"""The server under attack, and raw connections to it."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.processes import Process

UPGRADE = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
#: An attack that is not stopped ends itself after this long.
PATIENCE_SECONDS = 15.0
#: How often it is looked at whether a server does nothing more.
SETTLING = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A server in a process of its own, fresh for each attack."""

    process: Process
    port: int

    def connect(self) -> Coroutine[Any, Any, "Connection"]:
        return _connect(self.port)

    async def upgraded(self) -> "Connection":
        """Open a WebSocket."""
        connection = await self.connect()
        await connection.send(UPGRADE + b"\r\n")
        await connection.head()
        return connection

    def resident(self) -> int:
        """Return the bytes of its memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def settled(self) -> float:
        """Wait until it does nothing; return the CPU time that it has used."""
        used = self.process.cpu_seconds()
        for _ in range(SETTLING):
            await asyncio.sleep(0.3)
            before, used = used, self.process.cpu_seconds()
            if used == before:
                break
        return used

    async def health_seconds(self) -> float:
        """Return how long a health check takes."""
        begun = time.perf_counter()
        connection = await self.connect()
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connection.head()
        connection.drop()
        return time.perf_counter() - begun

    def log_lines(self) -> int:
        """Return how many lines it has logged."""
        return self.process.log.read_bytes().count(b"\n")

    async def growth(self, sending: Coroutine[Any, Any, object]) -> float:
        """Return by how many MB its memory grows, at most, while something is sent."""
        before = most = self.resident()
        task = asyncio.ensure_future(sending)
        while not task.done():
            most = max(most, self.resident())
            await asyncio.wait([task], timeout=0.05)
        await task
        # What was sent last is still in the kernel.
        await self.settled()
        return max(most, self.resident()) / 1e6 - before / 1e6


@dataclass(frozen=True, slots=True)
class Connection:
    """A raw connection; what it sends is not answered with what a client would do."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_all(self, piece: bytes, times: int) -> int:
        """Send a piece again and again until the server closes; return the bytes sent."""
        sent = 0
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(times):
                    if self.writer.is_closing() or self.reader.at_eof():
                        break
                    await self.send(piece)
                    sent += len(piece)
        return sent

    async def head(self) -> bytes:
        """Read the head of an answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def closed_after(self) -> float:
        """Return the seconds until the server closes; `PATIENCE_SECONDS` if it does not."""
        begun = time.perf_counter()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await self.reader.read(65536):
                    pass
        return time.perf_counter() - begun

    def drop(self) -> None:
        self.writer.transport.abort()


async def _connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port))
