"""Which rows are free, and what each row's slots hold.

A row remembers its tokens after its turn has left: a conversation's next turn begins with them, and
a system prompt is shared by many. What a new prompt has in common with any row is not computed
again.
"""

from dataclasses import dataclass, field

#: A shorter common beginning is not worth a look: every prompt shares its BOS.
WORTH_KEEPING_TOKENS = 16


@dataclass(slots=True, eq=False)
class Row:
    """One turn's place in the batch."""

    index: int
    #: The tokens of the turn that has, or last had, this row.
    ids: list[int] = field(default_factory=list)
    #: How many tokens of the turn are in the slots.
    written: int = 0
    #: Tokens that were chosen, and are not known here yet.
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A row for a new turn; what it is said to have written needs no computing."""

    row: Row
    #: The row to copy that from first, when it is another one.
    source: Row | None


class Rows:
    """All rows; the free ones in the order in which they were left."""

    def __init__(self, count: int) -> None:
        self._all = [Row(index) for index in range(count)]
        self._free = list(self._all)

    @property
    def free(self) -> int:
        """How many rows no turn has."""
        return len(self._free)

    def take(self, prompt: list[int]) -> Seat:
        """Take a free row, one with this prompt's beginning if there is one."""
        likeness = {row.index: _common(row, prompt) for row in self._all}
        nearest = max(self._all, key=lambda row: likeness[row.index])
        kept = likeness[nearest.index]
        row = self._free[0]
        if kept < WORTH_KEEPING_TOKENS:
            kept = 0
        elif nearest in self._free and 2 * kept >= nearest.written:
            # Its own conversation goes on; otherwise leave what it holds for the one it belongs to.
            row = nearest
        self._free.remove(row)
        row.ids = list(prompt)
        row.written = kept
        row.unknown = 0
        return Seat(row=row, source=nearest if kept and nearest is not row else None)

    def leave(self, row: Row) -> None:
        """Give a row back; it remembers what was written of what is known."""
        del row.ids[row.written :]
        row.written = len(row.ids)
        self._free.append(row)


def _common(row: Row, prompt: list[int]) -> int:
    """Count the first tokens of a prompt that a row holds, less the one that must be computed."""
    low, high = 0, min(row.written, len(prompt) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if row.ids[low:middle] == prompt[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
