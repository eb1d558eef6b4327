"""The thread that keeps a worker's turns its own: renews leases, hears of stops and losses.

At every beat it also sees to turns that other workers lost, or that nobody will answer.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

from turnstream.turns.queue import AWAY, Standing, TurnQueue
from turnstream.workers.desk import Desk

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25


class Beat:
    """A worker's heartbeat."""

    def __init__(
        self,
        queue: TurnQueue,
        desk: Desk,
        *,
        about: Mapping[str, object],
        check: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._desk = desk
        self._about = about
        #: Called at every beat; ends the process when the engine has died.
        self._check = check
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="beat")

    def start(self) -> None:
        """Begin to beat; the first beat is over when this returns, or Redis is away."""
        self._beat()
        self._thread.start()

    def stop(self, unfinished: Sequence[tuple[str, int]]) -> None:
        """Stop beating, hand on what is unfinished and take the worker off the list."""
        self._stopping.set()
        self._thread.join()
        try:
            self._queue.release(unfinished)
            self._queue.leave()
        except AWAY as exc:
            log.warning("Redis is away, could not say good-bye: %s", exc)

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            self._check()
            self._beat()

    def _beat(self) -> None:
        answers = self._desk.answers()
        running = [(answer.claimed.id, answer.claimed.attempt) for answer in answers]
        try:
            standings = self._queue.beat(running, self._about, slots=self._desk.slots)
            for id in self._queue.sweep():
                log.warning("%s: its worker was lost", id)
        except AWAY:
            return
        for answer, standing in zip(answers, standings, strict=True):
            match standing:
                case Standing.CANCEL:
                    answer.stop()
                case Standing.YIELD:
                    self._desk.give_way(answer)
                case Standing.LOST if answer in self._desk.answers():
                    log.warning("%s: no longer ours", answer.claimed.id)
                    answer.drop()
