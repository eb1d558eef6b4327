"""Chaos ends, whatever its faults do meanwhile."""

import asyncio
import random
from typing import cast

import redis.asyncio

from harness.proxy import Proxy
from harness.service import Service
from scripts.chaos.faults import EVERY, Faults
from turnstream.turns.tasks import CANCEL_AGAIN_SECONDS

KIND = "subscription killed"


class Deaf:
    """A Redis client whose first call swallows that it is cancelled, as redis-py's may."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    async def execute_command(self, *_: str) -> None:
        first = not self.called.is_set()
        self.called.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not first:
                raise


class OneKind(random.Random):
    """Draws that let one kind of fault come at once, again and again, and no other."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 0 if lambd == 1 / EVERY[KIND] else 3600


async def test_faults_end_though_one_swallows_that_it_is_cancelled() -> None:
    store = Deaf()
    client = cast("redis.asyncio.Redis", store)
    faults = Faults(cast(Service, None), Proxy(1), client, OneKind())
    injecting = asyncio.create_task(faults.run())
    await asyncio.wait_for(store.called.wait(), 10)

    injecting.cancel()
    await asyncio.wait({injecting}, timeout=20 * CANCEL_AGAIN_SECONDS)

    assert injecting.cancelled()
    assert faults.counts[KIND] == 1
