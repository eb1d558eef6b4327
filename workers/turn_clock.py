"""When what happened to one attempt at a turn, for metrics and traces.

Belongs to the publisher's thread. An event counts when it is in the log, which is when readers see
it.
"""

import logging
import time

from turnstream.turns.log import Append, Final, Requeued
from turnstream.turns.origin import log_fields
from turnstream.turns.traces import AttemptTimes, Outcome
from turnstream.turns.turn import Claimed
from turnstream.workers import metrics

log = logging.getLogger(__name__)


class TurnClock:
    """The times of one attempt, and what is counted with them."""

    __slots__ = ("_claimed", "_claimed_at", "_first_slice", "_last_slice")

    def __init__(self, claimed: Claimed) -> None:
        self._claimed = claimed
        self._claimed_at = time.monotonic()
        #: None until this attempt has written text.
        self._first_slice: float | None = None
        self._last_slice: float | None = None
        if claimed.attempt == 1:
            metrics.claimed(claimed.tier, claimed.waited_seconds)

    def written(self, part: Append) -> None:
        """Count what was written to the log."""
        now = time.monotonic()
        if part.final is None:
            # A slice has its ids at its last event.
            if part.entries[-1].token_ids:
                self._wrote_text(now)
            return
        if any(entry.token_ids for entry in part.entries):
            self._wrote_text(now)
        match part.final:
            case Requeued():
                self._log("requeued")
                metrics.preempted()
            case Final(status=status, input_tokens=prompt) as final:
                self._log(status)
                metrics.ended(
                    self._claimed.tier,
                    status,
                    self._since_submit(now),
                    prompt=prompt,
                    cached=final.cached_tokens,
                    generated=final.tokens - prompt,
                )

    def _wrote_text(self, now: float) -> None:
        if self._last_slice is not None:
            metrics.SLICE_GAP.observe(now - self._last_slice)
        else:
            self._first_slice = now
            if not self._claimed.token_ids:
                metrics.began(self._claimed.tier, self._since_submit(now))
        self._last_slice = now

    def times(self) -> AttemptTimes:
        """Return the times of an attempt that ends now."""
        now = time.monotonic()
        # The wall's clock is read once, so that its jumps are in no duration.
        offset = time.time() - now
        first = None if self._first_slice is None else self._first_slice + offset
        return AttemptTimes(self._claimed_at + offset, first, now + offset)

    def _log(self, end: str) -> None:
        claimed = self._claimed
        log.info("%s attempt %d: %s", claimed.id, claimed.attempt, end, extra=log_fields(claimed))

    def _since_submit(self, now: float) -> float:
        return self._claimed.waited_seconds + now - self._claimed_at


def outcome_of(final: Final | Requeued) -> Outcome:
    """Return how an attempt ended, from what was written at its end."""
    match final:
        case Requeued():
            return Outcome("requeued")
        case Final():
            return Outcome(
                final.status,
                input_tokens=final.input_tokens,
                cached_tokens=final.cached_tokens,
                output_tokens=final.tokens - final.input_tokens,
            )
