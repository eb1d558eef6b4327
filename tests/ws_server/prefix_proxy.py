"""A reverse proxy that serves a node below a path, and strips that path or leaves it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

#: The page's own requests are small.
HEAD_BYTES = 64 * 1024


class PrefixProxy:
    """Forwards requests for paths below a prefix; answers any other path with a 404."""

    def __init__(self, node: str, prefix: str, *, strips: bool, tells: bool) -> None:
        self._port = urlsplit(node).port
        self._prefix = prefix
        self._strips = strips
        #: Whether it sends `X-Forwarded-Prefix`.
        self._tells = tells
        #: Paths that were asked for beside the prefix.
        self.astray: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one request, then bytes both ways until either side ends."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.decode("latin-1").partition("\r\n")
            method, path, version = line.split(" ")
            if not path.startswith(self._prefix + "/") and path != self._prefix:
                self.astray.append(path)
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            if self._strips:
                path = path.removeprefix(self._prefix) or "/"
            if self._tells:
                rest = f"X-Forwarded-Prefix: {self._prefix}\r\n{rest}"
            # A connection carries one request only, so that no other has to be found in its bytes.
            rest = re.sub(r"(?im)^connection: keep-alive\r$", "Connection: close\r", rest)
            await self._forward(
                f"{method} {path} {version}\r\n{rest}".encode("latin-1"), reader, writer
            )
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _forward(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        node_reader, node_writer = await asyncio.open_connection("127.0.0.1", self._port)
        node_writer.write(head)
        ways = [_pump(reader, node_writer), _pump(node_reader, writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            node_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(HEAD_BYTES):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def below(
    node: str, prefix: str, *, strips: bool, tells: bool
) -> AsyncIterator[tuple[str, PrefixProxy]]:
    """Run a proxy; give the address of the node below its prefix."""
    proxy = PrefixProxy(node, prefix, strips=strips, tells=tells)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=HEAD_BYTES)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{prefix}", proxy
