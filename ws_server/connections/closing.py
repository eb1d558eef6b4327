"""Close connections in a time of ours, whatever the client does.

A transport that is closed first sends what is left, for ever if nobody takes it. And one that is
closed with unread data resets the connection, which may cost the client the answer.
"""

import asyncio

from turnstream.ws_server import metrics
from turnstream.ws_server.connections.limits import LINGER_SECONDS, UNWANTED_BYTES


class Closing:
    """Ends a connection whose client was told the last: it may read, and what it sends is lost."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._unwanted = 0
        if transport.can_write_eof():
            transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LINGER_SECONDS, transport.abort)

    def discard(self, size: int) -> None:
        """Count what the client still sends, and cut it off when that is too much."""
        self._unwanted += size
        if self._unwanted > UNWANTED_BYTES:
            self._transport.abort()

    def cancel(self) -> None:
        """Forget the connection: it has ended."""
        self._timer.cancel()


class Stall:
    """Cuts a connection when nothing of what waits to be sent is taken.

    The kernel's TCP_USER_TIMEOUT does so too, but it begins anew with every byte that the client
    itself sends.
    """

    __slots__ = ("_seconds", "_timer", "_transport", "_unsent")

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    def begin(self) -> None:
        """Watch from now on: more waits than the transport likes."""
        self._unsent = self._transport.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        # Nothing is added meanwhile, so what is taken shows.
        if self._transport.get_write_buffer_size() >= self._unsent:
            metrics.reader_cut("stalled")
            self._transport.abort()
        else:
            self.begin()
