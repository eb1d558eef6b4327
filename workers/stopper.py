"""The thread that hears when a reader wants a turn to end, and has the engine end it."""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread

from turns.line import AWAY
from workers.desk import Desk

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class Stopper:
    """Stops what it is told to stop.

    Args:
        listen: begins to listen; gives ids of turns, and None now and then.
    """

    def __init__(self, listen: Callable[[], Iterator[str | None]], desk: Desk) -> None:
        self._listen = listen
        self._desk = desk
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="stopper")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; may take as long as a silence is waited out."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for id in self._listen():
                    if self._stopping.is_set():
                        return
                    self._end(id)
            except AWAY:
                # The beat says the same, only later.
                self._stopping.wait(RETRY_SECONDS)

    def _end(self, id: str | None) -> None:
        for answer in self._desk.answers():
            if answer.claimed.id == id:
                log.info("%s: stopped", id)
                answer.stop()
