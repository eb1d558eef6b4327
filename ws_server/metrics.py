"""Metrics that a node counts as things happen; `scrape` reads the others when they are asked for.

Nothing is counted for each event that is relayed. No label is an owner or an id.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from prometheus_client import Counter

from turnstream.turns.follower import Follower

_REFUSALS = Counter(
    "turnstream_refusals_total", "Errors that clients were told, by their code.", ["code"]
)
_READERS_CUT = Counter(
    "turnstream_slow_readers_cut_total",
    "Connections cut because their client took nothing (stalled), or did not answer (no_pong).",
    ["reason"],
)
_RESUMES = Counter(
    "turnstream_resumes_total",
    "Readers that went on with a response, by how they are connected and whether its events came"
    " from its log or were made from its record.",
    ["transport", "source"],
)
_WEBHOOKS = Counter(
    "turnstream_webhook_attempts_total",
    "Attempts at deliveries of webhooks, by what came of them: accepted, failed, or dead, after"
    " which there is no further attempt.",
    ["result"],
)
# So that each series begins at 0: a rate needs two values.
for _result in ("accepted", "failed", "dead"):
    _WEBHOOKS.labels(_result)
for _reason in ("stalled", "no_pong"):
    _READERS_CUT.labels(_reason)
for _transport in ("websocket", "http"):
    for _source in ("log", "record"):
        _RESUMES.labels(_transport, _source)

_CODE = re.compile(r"[a-z_]{1,64}")


def refused(code: str | None) -> None:
    """Count an error that a client is told."""
    known = code is not None and _CODE.fullmatch(code) is not None
    _REFUSALS.labels(code if known else "other").inc()


def reader_cut(reason: str) -> None:
    """Count a connection that was cut: its client `stalled`, or `no_pong` came."""
    _READERS_CUT.labels(reason).inc()


def resumed(transport: str, follower: Follower) -> None:
    """Count a reader that resumes a response over `websocket` or `http`."""
    _RESUMES.labels(transport, "record" if follower.from_record else "log").inc()


def webhook_attempted(result: str) -> None:
    """Count an attempt at a delivery: `accepted`, `failed`, or `dead`."""
    _WEBHOOKS.labels(result).inc()


@asynccontextmanager
async def resuming(
    following: AbstractAsyncContextManager[Follower],
) -> AsyncIterator[Follower]:
    """Follow a response over HTTP, and count that as a resume."""
    async with following as follower:
        resumed("http", follower)
        yield follower
