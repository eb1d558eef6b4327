"""What operators look at: each model's workers and queue, read by one bounded script.

The queue is the same for all nodes: whoever adds up what several nodes report counts it twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio

from turnstream.turns.lua import Script
from turnstream.turns.settings import TurnSettings

#: Models that are reported; a service has a few.
MAX_MODELS = 100


@dataclass(frozen=True, slots=True)
class WaitingTier:
    """The waiting turns of one tier."""

    tier: str
    waiting: int
    #: How long the turn has waited that has waited longest; 0 while none waits.
    oldest_seconds: float
    #: Estimated time until the last one is claimed; None while that is not known, or none waits and
    #: no slot is free.
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class ModelOverview:
    """A model that a worker has served or a turn was submitted for."""

    name: str
    #: Workers that are alive, their slots and how many of these are free.
    workers: int
    slots: int
    free_slots: int
    tiers: tuple[WaitingTier, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """All models by name, and the number of batches that have not ended."""

    models: tuple[ModelOverview, ...]
    batches: int


class ReadOverview:
    """Reads the overview; on an asyncio client awaitable. `overview` reads the reply."""

    def __init__(self, client: "redis.Redis | redis.asyncio.Redis", settings: TurnSettings) -> None:
        self._script = Script(client, "overview")
        self._alive_ms = settings.alive_ms

    def __call__(self) -> Any:
        return self._script(alive_ms=self._alive_ms, max_models=MAX_MODELS)


def overview(reply: Sequence[Any]) -> Overview:
    """Return the overview from the script's reply."""
    models, batches = reply
    return Overview(
        tuple(
            ModelOverview(name.decode(), workers, slots, free, tuple(map(_tier, tiers)))
            for name, workers, slots, free, tiers in models
        ),
        batches,
    )


def _tier(reply: Sequence[Any]) -> WaitingTier:
    tier, waiting, oldest_ms, eta_ms = reply
    eta = None if eta_ms < 0 else eta_ms / 1000
    return WaitingTier(tier.decode(), waiting, oldest_ms / 1000, eta)
