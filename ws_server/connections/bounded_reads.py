"""Reads from a connection, the same number of bytes at a time under every event loop.

asyncio by itself reads 256 KiB and uvloop as much: what one client sends at once would delay others
by as much, and bounds of bytes would be that much looser.
"""

import asyncio

from turnstream.ws_server.connections.limits import READ_BYTES


class BoundedReads(asyncio.BufferedProtocol):
    """Passes on to `protocol`, which may be replaced, what a transport reads and reports."""

    __slots__ = ("_buffer", "protocol")

    def __init__(self, protocol: asyncio.Protocol, buffer: memoryview) -> None:
        self.protocol = protocol
        self._buffer = buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.protocol.data_received(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()


def read_buffer() -> memoryview:
    """Return a buffer for all connections of a loop: what is read is copied from it at once."""
    return memoryview(bytearray(READ_BYTES))
