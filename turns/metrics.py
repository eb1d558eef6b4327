"""Metrics of what nodes and workers do alike: calls of Redis, takeovers, and what followers miss.

Each function counts one thing. No label is an owner or an id: their number has no bound.
"""

from prometheus_client import Counter, Histogram

from turnstream.turns.redis_problem import Cause

_ROUND_TRIPS = Histogram(
    "turnstream_redis_round_trip_seconds",
    "Time from a call of Redis to its reply, as the caller waits for it.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
_FAILURES = Counter(
    "turnstream_redis_failures_total", "Calls of Redis that failed, by cause.", ["cause"]
)
_TAKEOVERS = Counter(
    "turnstream_takeovers_total",
    "Turns whose worker was lost, put back for another or given up. Whoever sweeps counts them.",
)
_HOLES = Counter(
    "turnstream_holes_filled_total",
    "Times that a follower read events from the log that it had not received live, by why.",
    ["reason"],
)

# So that each series begins at 0: a rate needs two values.
for _reason in ("gap", "resync", "slow"):
    _HOLES.labels(_reason)
for _cause in Cause:
    _FAILURES.labels(_cause)


def redis_replied(seconds: float) -> None:
    """Count a call of Redis that was answered."""
    _ROUND_TRIPS.observe(seconds)


def redis_failed(cause: str) -> None:
    """Count a call of Redis that failed."""
    _FAILURES.labels(cause).inc()


def taken_over(turns: int) -> None:
    """Count turns whose worker was lost."""
    if turns:
        _TAKEOVERS.inc(turns)


def hole_filled(reason: str) -> None:
    """Count a read of missed events: after a `gap`, a `resync`, or for a `slow` reader."""
    _HOLES.labels(reason).inc()
