"""Which slots are free, and which tokens each slot's keys and values belong to.

A slot keeps its tokens after its turn has ended: the next turn of a conversation starts with them,
and many conversations share a system prompt. The longest common prefix of a new prompt with any
slot of its owner is not computed again; of other owners' slots only what is nobody's own.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from turnstream.workers import metrics
from turnstream.workers.cache_scope import NO_OWNER, CacheScope

#: A shorter common prefix is not reused: every prompt shares its BOS.
MIN_PREFIX_TOKENS = 16


@dataclass(slots=True, eq=False)
class Slot:
    """One turn's place in the batch and in the KV cache."""

    index: int
    #: The tokens of the turn that has, or last had, this slot.
    ids: list[int] = field(default_factory=list)
    #: The salt of that turn's cache scope.
    salt: str = ""
    #: How many tokens of the turn have their keys and values in the cache.
    written: int = 0
    #: How many tokens were chosen that only the device knows yet.
    pending: int = 0


class SlotAssignment(NamedTuple):
    """A slot for a new turn; its first `slot.written` tokens need no computing."""

    slot: Slot
    #: The slot to copy these tokens from first, if it is another one.
    source: Slot | None


class Slots:
    """All slots; the free ones in the order in which they became free."""

    def __init__(self, count: int) -> None:
        self._all = [Slot(index) for index in range(count)]
        self._free = list(self._all)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    def assign(self, prompt: list[int], cache: CacheScope = NO_OWNER) -> SlotAssignment:
        """Assign a free slot, preferably one that holds this prompt's prefix."""
        common = {slot.index: _reusable(slot, prompt, cache) for slot in self._all}
        nearest = max(self._all, key=lambda slot: common[slot.index])
        kept = common[nearest.index]
        slot = self._free[0]
        if kept < MIN_PREFIX_TOKENS:
            kept = 0
        elif nearest in self._free and 2 * kept >= nearest.written:
            # Most of what the slot holds is reused; otherwise it is kept for its own conversation.
            slot = nearest
        metrics.prefix_cache(len(prompt), hits=kept)
        self._free.remove(slot)
        slot.ids = list(prompt)
        slot.salt = cache.salt
        slot.written = kept
        slot.pending = 0
        return SlotAssignment(slot=slot, source=nearest if kept and nearest is not slot else None)

    def release(self, slot: Slot) -> None:
        """Free a slot; it keeps the tokens that are both known and written."""
        del slot.ids[slot.written :]
        slot.written = len(slot.ids)
        self._free.append(slot)


def _reusable(slot: Slot, prompt: list[int], cache: CacheScope) -> int:
    """Return how many of a prompt's first tokens a turn may take from a slot."""
    common = _common_prefix(slot, prompt)
    return common if slot.salt == cache.salt else min(common, cache.public_tokens)


def _common_prefix(slot: Slot, prompt: list[int]) -> int:
    """Return how many tokens a slot and a prompt share, leaving at least one to compute."""
    low, high = 0, min(slot.written, len(prompt) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if slot.ids[low:middle] == prompt[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
