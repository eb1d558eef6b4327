"""One reader's view of one turn: its events in order, each once, without a gap.

The log is authoritative; published events are only faster. Live events are taken when they are the
very next ones and there is room; else the follower is `behind`, and reads the log when its reader
gets that far. So a slow reader costs a bounded queue and a gap costs one read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from turnstream.turns.errors import Overloaded, ResponseLost, ResponseNotFound

#: Live events kept for a reader that is slower than its turn; beyond it the follower falls behind.
ROOM = 256
#: Events read from the log at a time.
PAGE = 256
#: A reader that heard nothing for so long, or up to twice so long, looks into the log: the last
#: event may have been lost.
SILENCE_SECONDS = 10.0
#: How long to wait before Redis is asked again while it is away.
RETRY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Page:
    """The events in the log after a given one."""

    events: Sequence[bytes]
    #: True when the turn has its terminal event and `events` reach to it.
    ends: bool


ReadLog = Callable[[str, int], Awaitable[Page]]


class Follower:
    """Gives a turn's events after number `after`, first from the log, then live."""

    def __init__(self, turn_id: str, *, after: int, read: ReadLog) -> None:
        self.turn_id = turn_id
        #: Number of the newest event taken in.
        self.newest = after
        self._read = read
        self._ready: deque[bytes] = deque()
        self._behind = False
        self._ended = False
        self._wake = asyncio.Event()
        #: Whether anything was published since the last look at it.
        self._heard = True
        self._watching: asyncio.TimerHandle

    @property
    def ended(self) -> bool:
        """Whether the turn is known to have its terminal event."""
        return self._ended

    def take(self, page: Page, *, after: int) -> None:
        """Take in what the log held after an event, but for what has come live meanwhile."""
        fresh = page.events[self.newest - after :]
        self._ready.extend(fresh)
        self.newest += len(fresh)
        self._ended = self._ended or page.ends
        if len(page.events) == PAGE and not page.ends:
            self._behind = True
        self._wake.set()

    def deliver(self, seq: int, event: bytes, *, last: bool) -> None:
        """Take in a published event; never waits."""
        self._heard = True
        if self._ended:
            return
        if seq <= self.newest:
            # A reader that asked for events after the last one ends here.
            self._ended = last
            self._wake.set()
            return
        if seq == self.newest + 1 and len(self._ready) < ROOM and not self._behind:
            self._ready.append(event)
            self.newest = seq
            self._ended = last
        else:
            self._behind = True
        self._wake.set()

    def resync(self) -> None:
        """Look into the log before waiting again: something may have been missed."""
        if not self._ended:
            self._behind = True
            self._wake.set()

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """Yield all events there are, then wait for more; end after the terminal event.

        An empty batch says that nothing has come for a while and nothing was missed.

        Raises:
            ResponseLost, StreamExpired: the turn or its log went away.
        """
        self._watch()
        try:
            while True:
                if self._ready:
                    batch = list(self._ready)
                    self._ready.clear()
                    yield batch
                elif self._ended:
                    return
                elif self._behind:
                    await self._catch_up()
                    if not (self._ready or self._ended):
                        yield []
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._watching.cancel()

    def _watch(self) -> None:
        # One timer for all waits: one for each would cost more than the event that is waited for.
        if not self._heard:
            self.resync()
        self._heard = False
        loop = asyncio.get_running_loop()
        self._watching = loop.call_later(SILENCE_SECONDS, self._watch)

    async def _catch_up(self) -> None:
        # What is published from here on is in the page, or comes after it and is told apart by its
        # number.
        self._behind = False
        after = self.newest
        try:
            page = await self._read(self.turn_id, after)
        except ResponseNotFound as exc:
            raise ResponseLost(self.turn_id) from exc
        except Overloaded:
            self._behind = True
            await asyncio.sleep(RETRY_SECONDS)
            return
        self.take(page, after=after)
