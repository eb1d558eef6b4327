"""The thread that receives a worker's commands: cancel, steer or preempt a turn, or claim turns.

Commands are published and can be lost while Redis is unreachable. The next heartbeat then returns
the same as a `LeaseStatus`; a wake-up is a message of Celery as well.
"""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread

from turnstream.turns.commands import Cancel, Command, Preempt, Steer, WakeUp
from turnstream.turns.origin import log_fields
from turnstream.turns.queue import RETRYABLE_ERRORS
from turnstream.turns.redis_problem import problem_of
from turnstream.workers.active_turns import ActiveTurns

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


class ControlListener:
    """Carries out the commands for the active turns.

    Args:
        subscribe: subscribes to the worker's channel; yields commands, and None at intervals.
        claim_one: claims one turn, and makes another thread start it; here that would delay a
            cancel.
    """

    def __init__(
        self,
        subscribe: Callable[[], Iterator[Command | None]],
        active: ActiveTurns,
        claim_one: Callable[[], None],
    ) -> None:
        self._subscribe = subscribe
        self._active = active
        self._claim_one = claim_one
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
        unreachable = False
        while not self._stopping.is_set():
            try:
                for command in self._subscribe():
                    unreachable = False
                    if self._stopping.is_set():
                        return
                    if command is not None:
                        self._carry_out(command)
            except RETRYABLE_ERRORS as exc:
                if not unreachable:
                    log.warning("commands arrive late, Redis can't be used: %s", problem_of(exc))
                unreachable = True
                self._stopping.wait(RETRY_SECONDS)

    def _carry_out(self, command: Command) -> None:
        match command:
            case WakeUp():
                self._claim_one()
            case Cancel(turn_id):
                for attempt in self._active.of_turn(turn_id):
                    log.info("%s: cancelled", turn_id, extra=log_fields(attempt.claimed))
                    attempt.cancel()
            case Steer(turn_id):
                for attempt in self._active.of_turn(turn_id):
                    log.info("%s: steered", turn_id, extra=log_fields(attempt.claimed))
                    attempt.steer()
            case Preempt(turn_id):
                for attempt in self._active.of_turn(turn_id):
                    log.info("%s: preempted", turn_id, extra=log_fields(attempt.claimed))
                    attempt.preempt()
