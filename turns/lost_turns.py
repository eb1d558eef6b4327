"""What a sweep says of turns whose worker was lost: counted, logged and traced by whoever swept."""

import logging
from collections.abc import Sequence
from typing import Any

from turnstream.turns import metrics
from turnstream.turns.origin import Origin
from turnstream.turns.traces import LostAttempt, Traces

log = logging.getLogger(__name__)


def report(reply: Sequence[Sequence[Any]], traces: Traces) -> list[str]:
    """Log, count and trace the turns of a sweep's reply; return their ids."""
    metrics.taken_over(len(reply))
    lost = [_attempt(row) for row in reply]
    for attempt in lost:
        log.warning(
            "%s attempt %d: the lease of %s expired, requeued",
            attempt.id,
            attempt.attempt,
            attempt.worker,
            extra={
                "turn_id": attempt.id,
                "attempt": attempt.attempt,
                "model": attempt.model,
                "worker": attempt.worker,
                "node": attempt.origin.node,
                "request_id": attempt.origin.request_id,
            },
        )
        traces.lost(attempt)
    return [attempt.id for attempt in lost]


def _attempt(row: Sequence[Any]) -> LostAttempt:
    *texts, held_ms = row
    id, attempt, model, worker, *origin = (each.decode() for each in texts)
    return LostAttempt(id, int(attempt), model, worker, Origin(*origin), held_ms / 1000)
