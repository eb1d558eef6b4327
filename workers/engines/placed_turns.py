"""Which of an engine's turns have a slot and memory, and which must wait for them.

A turn takes memory as its text grows. Where there is no more, the last turn by rank is put back,
and continues from its own tokens when there is some. The first turn by rank is never put back, and
there is memory for a whole context: so it ends, and then the next one is first.
"""

import logging
import math
from collections.abc import Callable, Sequence

from turnstream.workers.engines.attention import NewTokens
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.scheduler import SlotTurn
from turnstream.workers.engines.slots import Slot, Slots
from turnstream.workers.engines.waiting_turns import WaitingTurns

log = logging.getLogger(__name__)


class PlacedTurns:
    """The turns that have a slot; they belong to the engine's thread.

    Args:
        begin: called with each turn when it gets its first slot.
    """

    def __init__(
        self, cache: KvCache, waiting: WaitingTurns, begin: Callable[[SlotTurn], None]
    ) -> None:
        self.running: list[SlotTurn] = []
        self._waiting = waiting
        self._begin = begin
        self._page_tokens = cache.page_tokens
        self._slots = Slots(cache)
        #: Whether the next turn has to wait for memory.
        self._memory_awaited = False

    @property
    def free_slots(self) -> int:
        """How many slots are free."""
        return self._slots.free

    @property
    def short_of_memory(self) -> bool:
        """Whether all memory may be needed by the turns that are here; for any thread."""
        awaited = sum(
            math.ceil(len(turn.prompt) / self._page_tokens) for turn in self._waiting.all()
        )
        return self._slots.available_pages <= awaited + self._spare_pages()

    def place(self) -> None:
        """Give slots to waiting turns, as long as there are slots and memory."""
        self._memory_awaited = False
        while self._slots.free and (turn := self._waiting.next):
            slot = self._slots.assign(turn.prompt, turn.cache, spare=self._spare_pages())
            if slot is None:
                self._memory_awaited = True
                return
            self._waiting.remove(turn)
            turn.slot = slot
            if not turn.put_back:
                turn.cached_tokens = slot.written
                self._begin(turn)
            self.running.append(turn)

    def take_memory(self, step: Sequence[tuple[SlotTurn, NewTokens]]) -> bool:
        """Take pages for a step; return False if a turn is to be put back first."""
        first = self._waiting.next if self._memory_awaited else None
        if first and not first.low_priority and any(turn.low_priority for turn in self.running):
            # It does not wait for turns of low priority.
            return False
        return all(
            self._slots.grow(slot, new.start + len(new.ids))
            for turn, new in step
            if (slot := turn.slot)
        )

    def put_back_last(self) -> None:
        """Put the last turn by rank back; the host must know all tokens of it."""
        turn = max(self.running, key=lambda turn: turn.rank)
        log.debug("a turn of %d tokens waits for memory that others need", len(turn.prompt))
        slot = turn.leave_slot()
        self._slots.release(slot)
        self.running.remove(turn)
        self._waiting.add_again(turn)

    def remove(self, turn: SlotTurn) -> None:
        """Free the slot of a turn that is over, if it has one."""
        if turn.slot:
            self._slots.release(turn.slot)
            self.running.remove(turn)

    def clear(self, slot: Slot) -> None:
        """Remove all values of a slot."""
        self._slots.clear(slot)

    def _spare_pages(self) -> int:
        """Return how many running turns may need another page."""
        return sum(
            len(slot.pages) * self._page_tokens < turn.end
            for turn in list(self.running)
            if (slot := turn.slot)
        )
