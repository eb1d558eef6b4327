"""The turns that an engine has taken and that have no slot: what other threads give to its own.

Turns that had to give their slot up are put back here.
"""

import threading
import time

from turnstream.workers.engine import EngineDead
from turnstream.workers.engines.scheduler import SlotTurn


class WaitingTurns:
    """Turns without a slot; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._turns: list[SlotTurn] = []
        self._closed = ""
        self._drained_by = float("inf")
        self._added = 0

    @property
    def closed(self) -> str:
        """Why no turn is taken; empty while turns are."""
        return self._closed

    def add(self, turn: SlotTurn) -> None:
        """Add a new turn.

        Raises:
            EngineDead: no turn is taken any more.
        """
        with self._changed:
            if self._closed:
                raise EngineDead(self._closed)
            turn.number = self._added
            self._added += 1
            self._turns.append(turn)
            self._changed.notify()

    def add_again(self, turn: SlotTurn) -> None:
        """Add a turn that had a slot; it keeps its rank."""
        with self._changed:
            self._turns.append(turn)

    def close(self, reason: str, *, drain_seconds: float | None = None) -> None:
        """Take no more turns; the first reason stands.

        Args:
            drain_seconds: `draining` is over after this time.
        """
        with self._changed:
            self._closed = self._closed or reason
            if drain_seconds is not None:
                self._drained_by = min(self._drained_by, time.monotonic() + drain_seconds)
            self._changed.notify()

    def wait(self) -> bool:
        """Wait for a turn; return False if there is none and no more are taken."""
        with self._changed:
            while not self._turns:
                if self._closed:
                    return False
                self._changed.wait()
            return True

    @property
    def drained(self) -> bool:
        """Whether the time is over that `close` gave to the turns."""
        return time.monotonic() >= self._drained_by

    @property
    def next(self) -> SlotTurn | None:
        """The turn that gets the next slot; None if no turn waits."""
        with self._changed:
            return min(self._turns, key=lambda turn: turn.rank, default=None)

    def all(self) -> list[SlotTurn]:
        """Return all turns."""
        with self._changed:
            return list(self._turns)

    def remove(self, turn: SlotTurn) -> None:
        """Remove a turn, which gets a slot or is over."""
        with self._changed:
            self._turns.remove(turn)
