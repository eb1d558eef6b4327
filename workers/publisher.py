"""The thread that writes what the engine says into the logs: one call to Redis for all turns.

An answer's first words and its end are written at once; what comes between gathers for some
hundredths of a second, in which a fast model makes many steps. While Redis is slow or away the
engine goes on. What could not be written is written again as it was, and what gathers meanwhile
goes into the next call, so memory is bounded by the answers themselves.
"""

import logging
from threading import Event, Thread

from turnstream.turns.log import Append, Log, Verdict
from turnstream.turns.queue import AWAY
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer import IN_PROGRESS_SECONDS, Answer

log = logging.getLogger(__name__)

#: How long words gather: as often as the pictures of a film change. Whatever each call costs the
#: worker, Redis, front end and reader, it costs them no more often, however fast the model is.
PACE_SECONDS = 0.04
#: How long to wait before Redis is asked again while it is away.
RETRY_SECONDS = 0.1


class Publisher:
    """Writes the events of every turn on the active."""

    def __init__(self, active: ActiveTurns, turns_log: Log) -> None:
        self._active = active
        self._log = turns_log
        self._wake = Event()
        self._expected = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="publisher")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to write at once; never waits."""
        self._wake.set()

    def expect(self) -> None:
        """Say, on the engine's thread, that what the running step brings is to be written at once.

        All that it brings is then written in one call.
        """
        self._expected = True

    def after_step(self) -> None:
        """Say, on the engine's thread, that a step is over; never waits."""
        if self._expected:
            self._expected = False
            self._wake.set()

    def stop(self) -> None:
        """Write what has gathered, once more, and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(PACE_SECONDS if self._active.answers() else IN_PROGRESS_SECONDS / 4)
            self._wake.clear()
            parts = [(answer, answer.take()) for answer in self._active.answers()]
            self._write([(answer, part) for answer, part in parts if part is not None])
            self._active.clear()

    def _write(self, parts: list[tuple[Answer, Append]]) -> None:
        again = False
        while parts:
            try:
                verdicts = self._log.append([part for _, part in parts])
            except AWAY as exc:
                if not again:
                    log.warning("Redis is away, holding %d slices: %s", len(parts), exc)
                again = True
                if self._stopping.wait(RETRY_SECONDS):
                    return
                continue
            for (answer, part), verdict in zip(parts, verdicts, strict=True):
                self._heed(answer, part, verdict)
            return

    def _heed(self, answer: Answer, part: Append, verdict: Verdict) -> None:
        # A call may have been carried out though its answer was lost; the client below us, too,
        # makes a call again when its connection ends.
        written = verdict in (Verdict.OK, Verdict.REPEATED)
        if not written:
            log.warning("%s attempt %d: refused as %s", part.id, part.attempt, verdict)
            answer.drop()
        if part.final is not None or not written:
            self._active.remove(answer)
