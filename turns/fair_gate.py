"""Let owners take turns at what a node asks of Redis, so that a burst of one delays no other's.

Redis serves its connections first come, first served. Without a gate thousands of one owner's
submits, or of its requests for what is stored, would be ahead of the next owner's first submit.
"""

import asyncio
from collections import Counter, OrderedDict, deque

from turnstream.turns.errors import RateLimited

#: Submits, and calls for what is stored, at a time: together fewer than a node's connections, so
#: that cancels and the node itself always have some.
TOTAL, READS = 16, 12
#: Submits of one owner at a time.
EACH = 4
#: Submits of one owner that may wait; one more is refused.
WAITING = 10_000
#: After how long a refused client is told to try again.
_RETRY_MS = 1_000


class FairGate:
    """Admits a bounded number at a time, owners in rotation."""

    def __init__(self, *, total: int = TOTAL, each: int = EACH, waiting: int = WAITING) -> None:
        self._total = total
        self._each = each
        self._most_waiting = waiting
        #: How many are inside, and how many of each owner.
        self._count = 0
        self._inside: Counter[str] = Counter()
        #: Those who wait, by owner, in rotation: who was admitted goes to the end.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def admitted(self, owner: str) -> "Place":
        """Return a context that waits for the owner's turn, and keeps a place while it is open.

        Raises:
            RateLimited: too many of this owner wait already.
        """
        return Place(self, owner)

    async def enter(self, owner: str) -> None:
        """Wait for the owner's turn; `leave` is to follow. `admitted` does both."""
        # Nobody is passed over: who could have such a place is inside already.
        if self._count < self._total and self._inside[owner] < self._each:
            self._let_in(owner)
            return
        place = self._line_up(owner)
        try:
            await place
        except asyncio.CancelledError:
            # A cancelled place is passed over in `_admit`; a granted one goes to the next.
            if not place.cancelled():
                self.leave(owner)
            raise

    def leave(self, owner: str) -> None:
        """Give a place to the next."""
        self._count -= 1
        self._inside[owner] -= 1
        if not self._inside[owner]:
            del self._inside[owner]
        self._admit()

    def _line_up(self, owner: str) -> "asyncio.Future[None]":
        waiting = self._waiting.setdefault(owner, deque())
        if len(waiting) >= self._most_waiting:
            raise RateLimited("submits_waiting", self._most_waiting, _RETRY_MS)
        place = asyncio.get_running_loop().create_future()
        waiting.append(place)
        return place

    def _let_in(self, owner: str) -> None:
        self._count += 1
        self._inside[owner] += 1

    def _admit(self) -> None:
        while self._count < self._total and (owner := self._next_owner()) is not None:
            waiting = self._waiting.pop(owner)
            place = waiting.popleft()
            # A place may have been cancelled whose task has not run since.
            if not place.cancelled():
                place.set_result(None)
                self._let_in(owner)
            if waiting:
                self._waiting[owner] = waiting

    def _next_owner(self) -> str | None:
        return next((each for each in self._waiting if self._inside[each] < self._each), None)


class Place:
    """A place at a gate; a class, since it is on the way of every call."""

    __slots__ = ("_gate", "_owner")

    def __init__(self, gate: FairGate, owner: str) -> None:
        self._gate = gate
        self._owner = owner

    async def __aenter__(self) -> None:
        await self._gate.enter(self._owner)

    async def __aexit__(self, *exc: object) -> None:
        self._gate.leave(self._owner)
