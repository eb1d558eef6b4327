"""What the readers of one connection may keep in memory of events that are not sent yet.

A client that reads nothing stops all sends of its connection, so its readers share one room: live
events within a number of bytes, and one page of a log at a time. What has no room is read from the
log later.
"""

import asyncio

#: Bytes of live events that wait on one connection.
LIVE_BYTES = 32 * 1024
#: What an event takes in memory beside its text.
_OVERHEAD = 64


class ReaderRoom:
    """The memory of the readers of one connection."""

    def __init__(self, *, live_bytes: int = LIVE_BYTES) -> None:
        self._most = live_bytes
        self._used = 0
        #: Held by the one reader that has a page of a log in memory, until the page is sent.
        self.page = asyncio.Lock()

    def take(self, event: bytes) -> int:
        """Take room for a live event and return how much, or 0 if there is none.

        An event of any size has room while no other waits.
        """
        size = len(event) + _OVERHEAD
        if self._used and self._used + size > self._most:
            return 0
        self._used += size
        return size

    def give(self, size: int) -> None:
        """Return the room of events that are sent or dropped."""
        self._used -= size
