"""The thread that keeps a worker's turns its own: renews leases, hears of stops and losses.

It also puts back what other workers lost. After an outage it waits with that, so that those who
live through it can renew their own first.
"""

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

from turns.line import AWAY, Line, Standing
from workers.desk import Desk

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
#: How long the lost are left alone after Redis was away: four beats of everybody.
GRACE_SECONDS = 1.0


class Beat:
    """A worker's heartbeat."""

    def __init__(
        self,
        line: Line,
        desk: Desk,
        *,
        about: Mapping[str, object],
        check: Callable[[], None],
    ) -> None:
        self._line = line
        self._desk = desk
        self._about = about
        #: Called at every beat; ends the process when the engine has died.
        self._check = check
        self._sweep_from = 0.0
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="beat")

    def start(self) -> None:
        """Begin to beat; the first beat is over when this returns, or Redis is away."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and take the worker off the list."""
        self._stopping.set()
        self._thread.join()
        try:
            self._line.leave()
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
            standings = self._line.beat(running, self._about)
            if time.monotonic() >= self._sweep_from:
                for id in self._line.sweep():
                    log.warning("%s: its worker was lost", id)
        except AWAY:
            self._sweep_from = time.monotonic() + GRACE_SECONDS
            return
        for answer, standing in zip(answers, standings, strict=True):
            match standing:
                case Standing.CANCEL:
                    answer.stop()
                case Standing.LOST if answer in self._desk.answers():
                    log.warning("%s: no longer ours", answer.claimed.id)
                    answer.drop()
