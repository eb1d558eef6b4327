"""The thread that receives a worker's commands: cancel a turn, or preempt it.

Commands are published and can be lost while Redis is unreachable; the next heartbeat then returns
the same as a `LeaseStatus`.
"""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread

from turnstream.turns.commands import Command
from turnstream.turns.queue import RETRYABLE_ERRORS
from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class ControlListener:
    """Carries out the commands for the active turns.

    Args:
        subscribe: subscribes to the worker's channel; yields commands, and None at intervals.
    """

    def __init__(
        self, subscribe: Callable[[], Iterator[Command | None]], active: ActiveTurns
    ) -> None:
        self._subscribe = subscribe
        self._active = active
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="control")

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; takes up to `commands.LISTEN_SECONDS`."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for command in self._subscribe():
                    if self._stopping.is_set():
                        return
                    if command is not None:
                        self._carry_out(command)
            except RETRYABLE_ERRORS:
                self._stopping.wait(RETRY_SECONDS)

    def _carry_out(self, command: Command) -> None:
        for attempt in self._active.of_turn(command.turn_id):
            if command.preempts:
                log.info("%s: preempted", command.turn_id)
                attempt.preempt()
            else:
                log.info("%s: cancelled", command.turn_id)
                attempt.cancel()
