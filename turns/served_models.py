"""The models that workers serve, as a node reads them: which there are, and which have a worker.

A model stays listed when its last worker is gone, so that its turns can still be queued.
"""

import json
from collections.abc import Awaitable
from typing import cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.record import DESCRIPTION_VERSION, SelfDescription
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.versions import NewerVersionLog


class ServedModels:
    """What workers say of their models; every method raises `Overloaded` if Redis is unusable."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        newer: NewerVersionLog,
        settings: TurnSettings,
    ) -> None:
        self._redis = client
        self._calls = calls
        self._newer = newer
        self._alive_ms = settings.alive_ms

    async def all(self) -> dict[str, SelfDescription]:
        """Return the self-description of each model that was ever served, by name.

        Those that a newer release wrote are omitted.
        """
        found = await self._calls.reply(
            cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(keys.models()))
        )
        models: dict[str, SelfDescription] = {}
        for name, text in found.items():
            about = cast(SelfDescription, json.loads(text))
            if about.get("version", 0) > DESCRIPTION_VERSION:
                self._newer.report(name.decode())
            else:
                models[name.decode()] = about
        return models

    async def is_served(self, model: str) -> bool:
        """Return whether a worker of the model is alive and claims turns: it is not draining."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(keys.heartbeats(model), 0, -1, withscores=True)
        pipe.hgetall(keys.draining(model))
        (seconds, micros), heartbeats, draining = await self._calls.reply(pipe.execute())
        now = seconds * 1000 + micros // 1000
        return any(
            now - heartbeat < self._alive_ms and worker not in draining
            for worker, heartbeat in heartbeats
        )

    async def loaded_percent(self, model: str) -> int | None:
        """Return how much of the weights a worker that is starting has loaded, if one is."""
        percent = await self._calls.reply(
            cast("Awaitable[bytes | None]", self._redis.get(keys.loading(model)))
        )
        return None if percent is None else int(percent)
