"""The window of a running batch: which lines are read, submitted and ended, and what is next.

It does no I/O and reads no clock: the runner tells it what happened, and when. A line goes from
read (waiting to be submitted) to submitted (its turn is queued or running) to ended; a postponed
line stays read, so that it is submitted again after a pause and not parsed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

#: How long after a refusal for lack of room the next lines are submitted.
PAUSE_SECONDS = 0.25
#: Bytes of lines beyond which no further ones are read until some have ended.
MOST_BYTES = 32 * 1024 * 1024
#: How long cancelled turns may take to end; later their lines are given up.
GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a line begins in the batch's file."""

    #: From 1.
    number: int
    #: In bytes.
    offset: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a result needs to know of its line; kept while the line's turn is queued or running."""

    position: Position
    #: Id of its turn.
    turn: str
    custom_id: str
    #: Bytes of its text.
    size: int = 0


#: A parsed request.
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ReadLine(Generic[R]):
    """A line with its parsed request, from the moment it is read until it is submitted."""

    line: Line
    request: R


class Window(Generic[R]):
    """The lines of one batch between the file and the output."""

    def __init__(self, start: Position, *, size: int, most_per_call: int) -> None:
        self._size = size
        self._most_per_call = most_per_call
        self._read: dict[str, ReadLine[R]] = {}
        self._submitted: dict[str, Line] = {}
        #: Of all of these: they are in memory here, or in Redis.
        self._bytes = 0
        #: Where the first line begins that is not read yet.
        self._unread = start
        self._read_to_end = False
        self._paused_until = float("-inf")
        self._give_up_at = float("inf")

    def lines_to_read(self, now: float) -> int:
        """Return how many lines are to be read before the next call of `lines_to_submit`."""
        if self._read_to_end or self._bytes >= MOST_BYTES:
            return 0
        return max(self._room(now) - len(self._read), 0)

    def read(self, lines: Iterable[ReadLine[R]], *, unread: Position) -> None:
        """Add lines that were read; the next one begins at `unread`."""
        for line in lines:
            self._read[line.line.turn] = line
            self._bytes += line.line.size
        self._unread = unread

    def read_to_end(self) -> None:
        """Note that the file has no further lines."""
        self._read_to_end = True

    def lines_to_submit(self, now: float) -> list[ReadLine[R]]:
        """Return the lines to submit now; they stay read until it is known what became of each."""
        return list(islice(self._read.values(), self._room(now)))

    def submitted(self, line: Line) -> None:
        """Note that a line's turn is queued or running."""
        del self._read[line.turn]
        self._submitted[line.turn] = line

    def postponed(self, now: float) -> None:
        """Note that the queue had no room: pause before lines are submitted again."""
        self._paused_until = now + PAUSE_SECONDS

    def ended(self, turn: str) -> None:
        """Note that a line has its result, whether its turn ended or it was never submitted."""
        line = self._submitted.pop(turn, None) or self._read.pop(turn).line
        self._bytes -= line.size

    def find(self, turn: str) -> Line | None:
        """Return the line of a turn that is queued or running."""
        return self._submitted.get(turn)

    def turns(self) -> list[str]:
        """Return the ids of all turns that are queued or running."""
        return list(self._submitted)

    def cancelled(self, now: float) -> None:
        """Note that all turns were cancelled: those that don't end in time are given up."""
        self._give_up_at = now + GIVE_UP_SECONDS

    def lines_to_give_up(self, now: float) -> list[Line]:
        """Return lines whose cancelled turns did not end in time."""
        if now <= self._give_up_at:
            return []
        return list(islice(self._submitted.values(), self._most_per_call))

    @property
    def position(self) -> Position:
        """Where the first line begins that has no result; commits record it.

        A runner that takes the batch over reads from there on.
        """
        positions = [line.position for line in self._submitted.values()]
        positions += [line.line.position for line in islice(self._read.values(), 1)]
        return min(positions, key=lambda position: position.number, default=self._unread)

    @property
    def all_ended(self) -> bool:
        """Whether every line of the file has its result."""
        return self._read_to_end and not self._read and not self._submitted

    def _room(self, now: float) -> int:
        if now < self._paused_until:
            return 0
        return max(min(self._size - len(self._submitted), self._most_per_call), 0)
