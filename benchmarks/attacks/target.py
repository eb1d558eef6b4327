"""The server under attack, and raw connections to it."""

import asyncio
import json
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
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
#: First bytes of control frames.
_PING, _PONG = 0x89, 0x8A
#: What a client reads ahead.
READ_BYTES = 64 * 1024
#: How often it is looked at whether a server does nothing more.
SETTLING = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A server in a process of its own, fresh for each attack."""

    process: Process
    port: int
    redis_url: str
    #: For the logs of what an attack runs itself.
    directory: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, limit: int = READ_BYTES) -> Coroutine[Any, Any, "Connection"]:
        return connected(self.port, limit)

    def upgraded(self, limit: int = READ_BYTES) -> Coroutine[Any, Any, "Connection"]:
        """Open a WebSocket; `limit` bounds what is read of it before it is asked for."""
        return upgraded(self.port, limit=limit)

    def resident(self) -> int:
        """Return the bytes of its memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def connections(self) -> int:
        """Return how many connections it has."""
        every = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(each.laddr.port == self.port and bool(each.raddr) for each in every)

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

    async def send_json(self, *messages: object) -> None:
        """Send messages of a WebSocket."""
        await self.send(b"".join(map(_text_frame, messages)))

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

    async def message(self) -> bytes:
        """Read one message of a WebSocket, and answer pings as a client does."""
        while True:
            opcode, length = await self.reader.readexactly(2)
            if length > 125:
                more = await self.reader.readexactly(2 if length == 126 else 8)
                length = int.from_bytes(more, "big")
            content = await self.reader.readexactly(length)
            if opcode == _PING:
                await self.send(bytes((_PONG, 0x80 | length)) + bytes(4) + content)
            else:
                return content

    async def closed_after(self, patience: float = PATIENCE_SECONDS) -> float:
        """Return the seconds until the server closes, or `patience` if it does not."""
        begun = time.perf_counter()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(patience):
                while await self.reader.read(65536):
                    pass
        return time.perf_counter() - begun

    def drop(self) -> None:
        self.writer.transport.abort()


async def connected(port: int, limit: int = READ_BYTES) -> Connection:
    """Open a connection to a server on this machine."""
    # Unread, a connection takes twice the limit, and what the kernel's buffer has.
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return Connection(*await asyncio.open_connection(sock=client, limit=limit))


async def upgraded(port: int, key: str = "", limit: int = READ_BYTES) -> Connection:
    """Open a WebSocket."""
    connection = await connected(port, limit)
    credentials = f"Authorization: Bearer {key}\r\n".encode() if key else b""
    await connection.send(UPGRADE + credentials + b"\r\n")
    head = await connection.head()
    assert b" 101 " in head, head
    return connection


def _text_frame(message: object) -> bytes:
    text = json.dumps(message, ensure_ascii=False).encode()
    size = len(text)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    # A mask of zeros changes nothing.
    return b"\x81" + length + bytes(4) + text
