"""The turns of an engine that has one thread, on which an event loop waits for what computes them.

All but `submit`, `schedule_cancel` and `schedule_end` runs on that thread.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from turnstream.workers.engine import EngineDead, Finish, FinishReason

log = logging.getLogger(__name__)


class LoopTurn(Protocol):
    """A turn of such an engine."""

    finished: bool
    task: asyncio.Task[None] | None

    def deliver(self, ids: Sequence[int], finish: Finish | None) -> None:
        """Tell the worker of new ids and of the finish."""
        ...


T = TypeVar("T", bound=LoopTurn)


class LoopTurns(Generic[T]):
    """Gives each turn a task, and its worker the new ids.

    Args:
        answer: delivers a turn's ids and finishes it; cancelled when the turn is.
        after_step: called once all ids are delivered that the loop had at the time.
    """

    def __init__(
        self, answer: Callable[[T], Coroutine[Any, Any, None]], after_step: Callable[[], None]
    ) -> None:
        self._answer = answer
        self._after_step = after_step
        self._after_step_due = False
        self._turns: dict[T, None] = {}
        #: Set when no turn is left and none will come.
        self.over = asyncio.Event()
        # Shared with other threads, under the lock.
        self._lock = threading.Lock()
        self._closed = ""
        self._loop: asyncio.AbstractEventLoop

    @property
    def open(self) -> bool:
        """Whether turns are taken; thread-safe."""
        return not self._closed

    @property
    def count(self) -> int:
        """How many turns have begun and not ended; thread-safe."""
        return len(self._turns)

    def run_here(self) -> None:
        """Take the running loop as the one of all turns."""
        self._loop = asyncio.get_running_loop()

    def submit(self, turn: T) -> None:
        """Start a turn; thread-safe.

        Raises:
            EngineDead: no more turns are taken.
        """
        with self._lock:
            if self._closed:
                raise EngineDead(self._closed)
            self._loop.call_soon_threadsafe(self._begin, turn)

    def schedule_cancel(self, turn: T) -> None:
        """Cancel a turn; thread-safe."""
        # The loop has ended, and with it every turn, if the engine was stopped.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel, turn)

    def schedule_end(self, drain_seconds: float) -> None:
        """Take no more turns, and cancel those that have not ended by then; thread-safe."""
        with self._lock:
            self._closed = self._closed or "the engine was stopped"
            # The loop has ended if the engine died or was stopped before.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wind_up, drain_seconds)

    def deliver(self, turn: T, ids: Sequence[int]) -> None:
        """Deliver new ids; a worker that fails to take them ends its turn."""
        if turn.finished:
            return
        try:
            turn.deliver(ids, None)
        except Exception as exc:
            log.exception("a turn's on_step failed, the turn ends")
            message = f"on_step failed: {type(exc).__name__}: {exc}"
            self.finish(turn, [], Finish(FinishReason.ERROR, message))
        self._schedule_after_step()

    def finish(self, turn: T, ids: Sequence[int], finish: Finish) -> None:
        """Deliver a turn's last ids and its finish; only the first call has an effect."""
        if turn.finished:
            return
        turn.finished = True
        del self._turns[turn]
        try:
            turn.deliver(ids, finish)
        except Exception:
            log.exception("a turn's on_step failed at its finish")
        self._schedule_after_step()
        self._close_when_done()

    def die(self, message: str) -> None:
        """End all turns with an error, and take no more."""
        with self._lock:
            if self.over.is_set():
                return
            self._closed = message
        for turn in list(self._turns):
            self.finish(turn, [], Finish(FinishReason.ERROR, message))
        self.over.set()

    def _begin(self, turn: T) -> None:
        self._turns[turn] = None
        if self.over.is_set():
            self.finish(turn, [], Finish(FinishReason.ERROR, self._closed))
            return
        turn.task = self._loop.create_task(self._run(turn))

    async def _run(self, turn: T) -> None:
        try:
            await self._answer(turn)
        except Exception as exc:
            log.exception("the engine failed with a turn")
            self.finish(turn, [], Finish(FinishReason.ERROR, f"{type(exc).__name__}: {exc}"))

    def _cancel(self, turn: T) -> None:
        self.finish(turn, [], Finish(FinishReason.CANCELLED))
        if turn.task:
            turn.task.cancel()

    def _schedule_after_step(self) -> None:
        if not self._after_step_due:
            self._after_step_due = True
            self._loop.call_soon(self._end_step)

    def _end_step(self) -> None:
        self._after_step_due = False
        try:
            self._after_step()
        except Exception as exc:
            log.exception("the engine's step loop died")
            self.die(f"the engine died: {type(exc).__name__}: {exc}")

    def _wind_up(self, drain_seconds: float) -> None:
        self._close_when_done()
        self._loop.call_later(drain_seconds, self._cancel_all)

    def _cancel_all(self) -> None:
        for turn in list(self._turns):
            self._cancel(turn)

    def _close_when_done(self) -> None:
        if self._closed and not self._turns:
            self.over.set()
