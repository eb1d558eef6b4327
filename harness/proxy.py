"""A TCP proxy with faults: it delays, resets, drops and holds back what it forwards.

A fault either resets both ends of a connection or is visible to neither of them, as when a phone
loses its network.
"""

import asyncio
import random
import socket
import struct
from types import TracebackType
from typing import Self

CHUNK = 16 * 1024
#: Value of SO_LINGER with which closing sends a reset instead of FIN.
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to one port of this machine; an async context manager."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        #: Seconds by which each chunk is delayed, in both directions.
        self.delay = 0.0
        #: Bytes to a client after which its connection is reset.
        self.reset_after: int | None = None
        #: Reset this many connections instead of forwarding the server's next bytes: the request
        #: was carried out, but its answer is lost.
        self.lost_replies = 0
        #: Reset new connections.
        self.refusing = False
        self.connections = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._silent: set[asyncio.Task[None]] = set()
        self._links: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self.thaw()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self, share: float = 1.0) -> None:
        """Reset both ends of all connections, or of a random share of them."""
        for link, writers in list(self._links.items()):
            if random.random() < share:
                for writer in writers:
                    _reset(writer)
                link.cancel()

    def go_silent(self, share: float = 1.0) -> None:
        """Drop all further bytes of these connections without closing them (half-open)."""
        self._silent |= {link for link in self._links if random.random() < share}

    def freeze(self) -> None:
        """Stop forwarding and reading, so that the senders' buffers fill up."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward again, beginning with what was held back."""
        self._flowing.set()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self.connections += 1
        self._links[link] = (writer,)
        try:
            if self.refusing:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
            self._links[link] = (writer, back)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, reader, back, answers=False))
                tasks.create_task(self._pump(link, there, writer, answers=True))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            # When one end closes, both are reset: half-closed connections are not supported.
            for end in self._links.pop(link):
                _reset(end)
            self._silent.discard(link)

    async def _pump(
        self,
        link: asyncio.Task[None],
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        passed = 0
        while chunk := await source.read(CHUNK):
            await asyncio.sleep(self.delay)
            await self._flowing.wait()
            if link in self._silent:
                continue
            if answers and self.lost_replies:
                self.lost_replies -= 1
                break
            if answers and self.reset_after is not None and passed + len(chunk) > self.reset_after:
                sink.write(chunk[: self.reset_after - passed])
                await sink.drain()
                break
            sink.write(chunk)
            await sink.drain()
            passed += len(chunk)
        raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    if end is not None and end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
