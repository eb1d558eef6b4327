"""The thread that appends events to the logs, with one call to Redis for all turns.

An attempt's first text and its end are written at once; text in between gathers for
`FLUSH_SECONDS`. While Redis is slow or unreachable the engine continues: an append that failed is
repeated unchanged and newer ids go into the next one, so memory is bounded by the answers.
"""

import logging
from threading import Event, Thread

from turnstream.turns.log import Append, Log, Verdict
from turnstream.turns.origin import log_fields
from turnstream.turns.queue import RETRYABLE_ERRORS
from turnstream.turns.redis_problem import problem_of
from turnstream.turns.traces import NO_TRACES, Outcome, Traces
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer_events import IN_PROGRESS_SECONDS
from turnstream.workers.attempt import Attempt
from turnstream.workers.turn_clock import outcome_of

log = logging.getLogger(__name__)

#: Flush interval: 25 writes per second. It bounds the number of calls, events and frames per
#: second, however fast the model is.
FLUSH_SECONDS = 0.04
#: Pause before an append is repeated while Redis is unreachable.
RETRY_SECONDS = 0.1


class Publisher:
    """Writes the events of all active turns."""

    def __init__(self, active: ActiveTurns, turns_log: Log, traces: Traces = NO_TRACES) -> None:
        self._active = active
        self._traces = traces
        self._log = turns_log
        self._wake = Event()
        self._write_after_step = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="publisher")

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def wake(self) -> None:
        """Write at once; never waits."""
        self._wake.set()

    def write_after_step(self) -> None:
        """Write when the engine's running step is over, for all its turns in one call.

        Called on the engine's thread; never waits.
        """
        self._write_after_step = True

    def after_step(self) -> None:
        """Note, on the engine's thread, that a step is over; never waits."""
        if self._write_after_step:
            self._write_after_step = False
            self._wake.set()

    def stop(self) -> None:
        """Write once more, and end the thread."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            busy = bool(self._active.attempts())
            self._wake.wait(FLUSH_SECONDS if busy else IN_PROGRESS_SECONDS / 4)
            self._wake.clear()
            parts = [(attempt, attempt.take()) for attempt in self._active.attempts()]
            self._write([(attempt, part) for attempt, part in parts if part is not None])
            self._active.remove_dropped()

    def _write(self, parts: list[tuple[Attempt, Append]]) -> None:
        repeated = False
        while parts:
            try:
                verdicts = self._log.append([part for _, part in parts])
            except RETRYABLE_ERRORS as exc:
                if not repeated:
                    log.warning(
                        "%d appends wait, Redis can't be used: %s", len(parts), problem_of(exc)
                    )
                repeated = True
                if self._stopping.wait(RETRY_SECONDS):
                    return
                continue
            for (attempt, part), verdict in zip(parts, verdicts, strict=True):
                self._apply(attempt, part, verdict)
            return

    def _apply(self, attempt: Attempt, part: Append, verdict: Verdict) -> None:
        # REPEATED: the append had run, but its answer was lost. redis-py, too, repeats a call when
        # its connection ends.
        if verdict not in (Verdict.OK, Verdict.REPEATED):
            about = log_fields(attempt.claimed)
            log.warning(
                "%s attempt %d: append refused: %s", part.id, part.attempt, verdict, extra=about
            )
            attempt.drop()
            self._traces.ended(attempt.claimed, attempt.clock.times(), Outcome("dropped"))
        else:
            attempt.clock.written(part)
            if part.final is None:
                return
            self._traces.ended(attempt.claimed, attempt.clock.times(), outcome_of(part.final))
            attempt.written()
        self._active.remove(attempt)
