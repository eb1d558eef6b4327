"""The attempts that a worker is busy with, shared by its threads."""

from threading import Lock

from turnstream.workers.attempt import Attempt
from turnstream.workers.attempt_state import AttemptState


class ActiveTurns:
    """Holds each attempt from its claim until its last event is written."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = Lock()
        self._attempts: dict[tuple[str, int], Attempt] = {}

    def add(self, attempt: Attempt) -> None:
        """Add an attempt."""
        with self._lock:
            self._attempts[attempt.claimed.id, attempt.claimed.attempt] = attempt

    def remove(self, attempt: Attempt) -> None:
        """Remove an attempt."""
        with self._lock:
            self._attempts.pop((attempt.claimed.id, attempt.claimed.attempt), None)

    def remove_dropped(self) -> None:
        """Remove the attempts that were dropped and have left the engine."""
        for attempt in self.attempts():
            if attempt.state is AttemptState.DROPPED:
                self.remove(attempt)

    def attempts(self) -> list[Attempt]:
        """Return all attempts, oldest first."""
        with self._lock:
            return list(self._attempts.values())

    def of_turn(self, turn_id: str) -> list[Attempt]:
        """Return the attempts at one turn."""
        return [attempt for attempt in self.attempts() if attempt.claimed.id == turn_id]

    def preempted(self) -> list[Attempt]:
        """Return the attempts whose slots will be free within a step and are not reassigned."""
        return [a for a in self.attempts() if a.state is AttemptState.PREEMPTING]

    def free_slots(self) -> int:
        """Return how many slots of the engine no attempt is using."""
        return self.slots - sum(not attempt.slot_free for attempt in self.attempts())
