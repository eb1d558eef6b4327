"""The thread that hears when a turn is to end, or its row is wanted, and has the engine end it."""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread

from turnstream.turns.commands import Command
from turnstream.turns.queue import AWAY
from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class Stopper:
    """Stops what it is told to stop.

    Args:
        listen: begins to listen; gives orders, and None now and then.
    """

    def __init__(self, listen: Callable[[], Iterator[Command | None]], active: ActiveTurns) -> None:
        self._listen = listen
        self._active = active
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
                for order in self._listen():
                    if self._stopping.is_set():
                        return
                    if order is not None:
                        self._carry_out(order)
            except AWAY:
                # The beat says the same, only later.
                self._stopping.wait(RETRY_SECONDS)

    def _carry_out(self, command: Command) -> None:
        for answer in self._active.answers():
            if answer.claimed.id == command.turn_id:
                log.info("%s: %s", command.turn_id, "preempted" if command.preempts else "stopped")
                if command.preempts:
                    self._active.preempt(answer)
                else:
                    answer.stop()
