"""The thread that keeps a worker's turns its own: renews leases, hears of stops and losses.

At every beat it also sees to turns that other workers lost, or that nobody will answer.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

from turnstream.turns.queue import AWAY, LeaseStatus, TurnQueue
from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.25


class Heartbeat:
    """A worker's heartbeat."""

    def __init__(
        self,
        queue: TurnQueue,
        active: ActiveTurns,
        *,
        about: Mapping[str, object],
        check: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._active = active
        self._about = about
        #: Called at every beat; ends the process when the engine has died.
        self._check = check
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="heartbeat")

    def start(self) -> None:
        """Begin to beat; the first beat is over when this returns, or Redis is away."""
        self._send()
        self._thread.start()

    def stop(self, unfinished: Sequence[tuple[str, int]]) -> None:
        """Stop beating, hand on what is unfinished and take the worker off the list."""
        self._stopping.set()
        self._thread.join()
        try:
            self._queue.requeue(unfinished)
            self._queue.leave()
        except AWAY as exc:
            log.warning("Redis is away, could not say good-bye: %s", exc)

    def _run(self) -> None:
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            self._check()
            self._send()

    def _send(self) -> None:
        answers = self._active.answers()
        running = [(answer.claimed.id, answer.claimed.attempt) for answer in answers]
        try:
            statuses = self._queue.heartbeat(running, self._about, slots=self._active.slots)
            for id in self._queue.sweep():
                log.warning("%s: its worker was lost", id)
        except AWAY:
            return
        for answer, status in zip(answers, statuses, strict=True):
            match status:
                case LeaseStatus.CANCEL:
                    answer.stop()
                case LeaseStatus.PREEMPT:
                    self._active.preempt(answer)
                case LeaseStatus.LOST if answer in self._active.answers():
                    log.warning("%s: no longer ours", answer.claimed.id)
                    answer.drop()
