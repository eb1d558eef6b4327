"""The answers that a worker is busy with, shared by its threads."""

from collections.abc import Callable
from threading import Lock

from turnstream.workers.answer import Answer


class ActiveTurns:
    """Holds each answer from its claim until its last event is written."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = Lock()
        #: Called when a slot has become free, or will within a step; never waits.
        self.freed: Callable[[], None] = lambda: None
        self._answers: dict[tuple[str, int], Answer] = {}

    def add(self, answer: Answer) -> None:
        """Put an answer on the active."""
        with self._lock:
            self._answers[answer.claimed.id, answer.claimed.attempt] = answer

    def remove(self, answer: Answer) -> None:
        """Take an answer off the active."""
        with self._lock:
            self._answers.pop((answer.claimed.id, answer.claimed.attempt), None)
        if not answer.finished:
            self.freed()

    def preempt(self, answer: Answer) -> None:
        """Have an answer give its slot back to people who wait."""
        answer.preempt()
        self.freed()

    def clear(self) -> None:
        """Take off what was given up and has left the engine."""
        for answer in self.answers():
            if answer.dropped and answer.finished:
                self.remove(answer)

    def answers(self) -> list[Answer]:
        """All of them, in the order in which they came."""
        with self._lock:
            return list(self._answers.values())

    def preempted_slots(self) -> list[Answer]:
        """Those whose slots will be free within a step, and are nobody's yet."""
        return [
            answer
            for answer in self.answers()
            if answer.preempted and not (answer.replaced or answer.finished)
        ]

    def free_slots(self) -> int:
        """Slots of the engine that no answer is using."""
        return self.slots - sum(not answer.finished for answer in self.answers())
