"""What a sweep says of turns whose worker was lost: counted and logged by whoever swept."""

import logging
from collections.abc import Sequence

from turnstream.turns import metrics

log = logging.getLogger(__name__)


def report(lost: Sequence[Sequence[bytes]]) -> list[str]:
    """Log and count the turns of a sweep's reply; return their ids."""
    metrics.taken_over(len(lost))
    for row in lost:
        id, attempt, model, worker, node, request_id = (each.decode() for each in row)
        log.warning(
            "%s attempt %s: the lease of %s expired, requeued",
            id,
            attempt,
            worker,
            extra={
                "turn_id": id,
                "attempt": int(attempt),
                "model": model,
                "worker": worker,
                "node": node,
                "request_id": request_id,
            },
        )
    return [row[0].decode() for row in lost]
