"""Which slots are free, and what each slot's slots hold.

A slot remembers its tokens after its turn has left: a conversation's next turn begins with them,
and a system prompt is shared by many. What a new prompt has in common with any slot is not computed
again.
"""

from dataclasses import dataclass, field

#: A shorter common beginning is not worth a look: every prompt shares its BOS.
WORTH_KEEPING_TOKENS = 16


@dataclass(slots=True, eq=False)
class Slot:
    """One turn's place in the batch."""

    index: int
    #: The tokens of the turn that has, or last had, this slot.
    ids: list[int] = field(default_factory=list)
    #: How many tokens of the turn are in the slots.
    written: int = 0
    #: Tokens that were chosen, and are not known here yet.
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotAssignment:
    """A slot for a new turn; what it is said to have written needs no computing."""

    slot: Slot
    #: The slot to copy that from first, when it is another one.
    source: Slot | None


class Slots:
    """All slots; the free ones in the order in which they were left."""

    def __init__(self, count: int) -> None:
        self._all = [Slot(index) for index in range(count)]
        self._free = list(self._all)

    @property
    def free(self) -> int:
        """How many slots no turn has."""
        return len(self._free)

    def take(self, prompt: list[int]) -> SlotAssignment:
        """Take a free slot, one with this prompt's beginning if there is one."""
        likeness = {slot.index: _common(slot, prompt) for slot in self._all}
        nearest = max(self._all, key=lambda slot: likeness[slot.index])
        kept = likeness[nearest.index]
        slot = self._free[0]
        if kept < WORTH_KEEPING_TOKENS:
            kept = 0
        elif nearest in self._free and 2 * kept >= nearest.written:
            # Its own conversation goes on; otherwise leave what it holds for the one it belongs to.
            slot = nearest
        self._free.remove(slot)
        slot.ids = list(prompt)
        slot.written = kept
        slot.unknown = 0
        return SlotAssignment(slot=slot, source=nearest if kept and nearest is not slot else None)

    def leave(self, slot: Slot) -> None:
        """Give a slot back; it remembers what was written of what is known."""
        del slot.ids[slot.written :]
        slot.written = len(slot.ids)
        self._free.append(slot)


def _common(slot: Slot, prompt: list[int]) -> int:
    """Count the first tokens of a prompt that a slot holds, less the one that must be computed."""
    low, high = 0, min(slot.written, len(prompt) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if slot.ids[low:middle] == prompt[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
