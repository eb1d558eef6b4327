"""The thread that renews the leases of a worker's turns, and learns which are cancelled or lost.

Each heartbeat also requeues turns that other workers lost, and fails turns that no worker serves.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread

from turnstream.turns.origin import log_fields
from turnstream.turns.queue import RETRYABLE_ERRORS, LeaseStatus, TurnQueue
from turnstream.turns.redis_problem import problem_of
from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.25


class Heartbeat:
    """Sends a worker's heartbeat.

    Args:
        about: what the worker says of its model.
        check_engine: called before each heartbeat; ends the process when the engine has died.
    """

    def __init__(
        self,
        queue: TurnQueue,
        active: ActiveTurns,
        *,
        about: Mapping[str, object],
        check_engine: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._active = active
        self._about = about
        self._check_engine = check_engine
        self._draining, self._stopping = Event(), Event()
        self._thread = Thread(target=self._run, name="heartbeat")

    def start(self) -> None:
        """Send the first heartbeat, on the caller's thread, and start the thread."""
        with suppress(*RETRYABLE_ERRORS):
            self._queue.register()
        self._send()
        self._thread.start()

    def drain(self) -> None:
        """Say from now on that the worker claims no more turns."""
        self._draining.set()

    def stop(self, unfinished: Sequence[tuple[str, int]]) -> None:
        """End the thread, requeue the unfinished turns and remove the worker from its model."""
        self._stopping.set()
        self._thread.join()
        try:
            self._queue.requeue(unfinished)
            self._queue.unregister()
        except RETRYABLE_ERRORS as exc:
            log.warning(
                "%d turns are requeued when their leases end, Redis can't be used: %s",
                len(unfinished),
                problem_of(exc),
            )

    def _run(self) -> None:
        while not self._stopping.wait(HEARTBEAT_SECONDS):
            self._check_engine()
            self._send()

    def _send(self) -> None:
        attempts = self._active.attempts()
        running = [(attempt.claimed.id, attempt.claimed.attempt) for attempt in attempts]
        try:
            if self._draining.is_set():
                self._queue.drain()
            statuses = self._queue.heartbeat(running, self._about, slots=self._active.slots)
            self._queue.sweep()
        except RETRYABLE_ERRORS:
            return
        for attempt, status in zip(attempts, statuses, strict=True):
            match status:
                case LeaseStatus.CANCEL:
                    attempt.cancel()
                case LeaseStatus.STEER:
                    attempt.steer()
                case LeaseStatus.PREEMPT:
                    attempt.preempt()
                case LeaseStatus.LOST if attempt in self._active.attempts():
                    log.warning(
                        "%s: the lease is lost, the attempt is dropped",
                        attempt.claimed.id,
                        extra=log_fields(attempt.claimed),
                    )
                    attempt.drop()
