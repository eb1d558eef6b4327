"""One reader's view of one turn: its events in order, each once, without a gap.

The log is authoritative; published events are only faster. A live event is taken if it is
the next one and there is room; otherwise the follower is `behind` and reads the log once its reader
has taken all earlier events. So a slow reader needs bounded memory, and a gap costs one read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from turnstream.turns import metrics
from turnstream.turns.errors import Overloaded, ResponseLost, ResponseNotFound, TurnError
from turnstream.turns.limit_use import LimitUse
from turnstream.turns.reader_room import ReaderRoom

#: Bytes of events read from the log at a time; a single event may have more.
PAGE_BYTES = 16 * 1024
#: A follower without an event for this long, or up to twice as long, reads the log: the last event
#: may have been lost.
SILENCE_SECONDS = 10.0
#: How long to wait before Redis is asked again while it is away.
RETRY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Page:
    """The events in the log after a given one."""

    events: Sequence[bytes]
    #: True when the turn has its terminal event and `events` reach to it.
    ends: bool
    #: Whether the log has further events.
    more: bool = False
    #: Whether they were made from the record, because the log has expired.
    from_record: bool = False


ReadLog = Callable[[str, int], Awaitable[Page]]


class Missed(StrEnum):
    """Why the log is to be read; '' (false) if it is not."""

    NOTHING = ""
    #: The log has more than was read.
    MORE = "more"
    #: The number of a live event was not the next one.
    GAP = "gap"
    #: The reader's room was full.
    SLOW = "slow"
    #: The subscription was renewed, or there was no event for a while.
    RESYNC = "resync"


class Follower:
    """Yields a turn's events after number `after`, first from the log, then live."""

    def __init__(
        self,
        turn_id: str,
        *,
        after: int,
        read: ReadLog,
        room: ReaderRoom | None = None,
        lost: Callable[[str], TurnError] = ResponseLost,
    ) -> None:
        self.turn_id = turn_id
        self._lost = lost
        #: What the owner has left per minute, if this reader submitted the turn.
        self.limit_use: LimitUse | None = None
        #: Number of the newest event taken.
        self.newest = after
        self._read = read
        #: The newest event, if this follower has had any.
        self._last: bytes | None = None
        self._ready: deque[bytes] = deque()
        self._room = room or ReaderRoom()
        #: How much of the room the events have that are ready or being sent.
        self._held = 0
        self._has_page = False
        self._behind = Missed.NOTHING
        #: Whether its first events were made from the record, because the log has expired.
        self.from_record = False
        self._ended = False
        self._wake = asyncio.Event()
        #: Whether an event was delivered since the last check.
        self._delivered = True
        self._timer: asyncio.TimerHandle

    @property
    def outbox(self) -> tuple[int, int]:
        """How many events wait to be sent, and the memory of all that are not sent yet."""
        return len(self._ready), self._held

    @property
    def ended(self) -> bool:
        """Whether the turn is known to have its terminal event."""
        return self._ended

    async def open(self) -> None:
        """Read the first page of the log.

        Raises:
            ResponseNotFound, StreamExpired: there is no such turn for this reader, or no log.
            Overloaded: Redis is away.
        """
        await self._read_page()

    def close(self) -> None:
        """Return the room of what was not sent; the reader has left or has read everything."""
        self._sent(self._held)

    def take(self, page: Page, *, after: int) -> None:
        """Take the events that the log had after an event, without those delivered live since."""
        fresh = page.events[self.newest - after :]
        self._ready.extend(fresh)
        self.newest += len(fresh)
        self._last = fresh[-1] if fresh else self._last
        self._ended = self._ended or page.ends
        self.from_record = self.from_record or page.from_record
        if page.more:
            self._behind = Missed.MORE
        self._wake.set()

    def deliver(self, seq: int, event: bytes, *, last: bool) -> None:
        """Take a published event, without waiting."""
        self._delivered = True
        if self._ended:
            return
        if seq <= self.newest:
            # A reader that asked for events after the last one ends here.
            self._ended = last
            self._wake.set()
            return
        is_next = seq == self.newest + 1
        if is_next and not self._behind and (size := self._room.take(event)):
            self._held += size
            self._ready.append(event)
            self.newest, self._last = seq, event
            self._ended = last
        else:
            self._behind = self._behind or (Missed.SLOW if is_next else Missed.GAP)
        self._wake.set()

    def resync(self) -> None:
        """Read the log before waiting again, since live events may have been missed."""
        if not self._ended:
            self._behind = self._behind or Missed.RESYNC
            self._wake.set()

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """Yield the events so far, then further ones as they come, up to the terminal event.

        An empty batch means that there was no event for a while and that none was missed.

        Raises:
            ResponseLost, StreamExpired: the turn or its log was deleted.
        """
        self._check_silence()
        try:
            while True:
                if self._ready:
                    batch, held = list(self._ready), self._held
                    self._ready.clear()
                    yield batch
                    self._sent(held)
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
            self._timer.cancel()

    def _check_silence(self) -> None:
        # One timer for all waits: a timer for each would cost more than handling an event.
        if not self._delivered:
            self.resync()
        self._delivered = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SILENCE_SECONDS, self._check_silence)

    async def _catch_up(self) -> None:
        missed, newest = self._behind, self.newest
        try:
            await self._read_page()
        except ResponseNotFound as exc:
            raise self._lost(self.turn_id) from exc
        except Overloaded:
            self._behind = missed
            await asyncio.sleep(RETRY_SECONDS)
        if self.newest > newest and missed is not Missed.MORE:
            metrics.hole_filled(missed)

    async def _read_page(self) -> None:
        await self._room.page.acquire()
        self._has_page = True
        # An event that is published from here on is in the page or has a higher number than it.
        self._behind = Missed.NOTHING
        after = self.newest
        try:
            self.take(await self._after(after, self._last), after=after)
        finally:
            if not self._ready:
                self._sent(0)

    async def _after(self, after: int, last: bytes | None) -> Page:
        """Read the events after number `after`, which was this one.

        A Redis that lost its last moments, as in a failover, may have another one there by now:
        what follows does not continue what this reader has.

        Raises:
            ResponseLost: it is not that event, or is not there.
        """
        if last is not None:
            page = await self._read(self.turn_id, after - 1)
            if not page.from_record:
                if not page.events or page.events[0] != last:
                    raise self._lost(self.turn_id)
                if len(page.events) > 1 or not page.more:
                    return Page(page.events[1:], ends=page.ends, more=page.more)
        return await self._read(self.turn_id, after)

    def _sent(self, held: int) -> None:
        self._held -= held
        self._room.give(held)
        if self._has_page:
            self._has_page = False
            self._room.page.release()
