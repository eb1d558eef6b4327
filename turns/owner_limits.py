"""Limits of owners that were set at run time: stored as text, known to all nodes within a second.

A counter says whether they changed, so that a node with ten thousand owners reads them only then.
"""

import logging
from collections.abc import Awaitable
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.limits import Limits, OwnerLimits
from turnstream.turns.redis_calls import RedisCalls

log = logging.getLogger(__name__)


class StoredLimits:
    """The limits that are stored in Redis."""

    def __init__(self, client: "redis.asyncio.Redis", calls: RedisCalls) -> None:
        self._redis: Any = client
        self._calls = calls
        self._seen: bytes | None = b"never"

    async def set(self, owner: str, text: str) -> None:
        """Set an owner's limits, such as `tokens_per_day=100000 tiers=flex`; '' removes them.

        Raises:
            ValueError: one of them can't be read; it says which.
            Overloaded: Redis is away.
        """
        Limits().changed(text)
        pipe = self._redis.pipeline(transaction=True)
        if text.strip():
            pipe.hset(keys.owner_limits(), owner, text)
        else:
            pipe.hdel(keys.owner_limits(), owner)
        pipe.incr(keys.owner_limits_version())
        await self._calls.reply(pipe.execute())

    async def all(self) -> dict[str, str]:
        """Return the text of each owner's limits.

        Raises:
            Overloaded: Redis is away.
        """
        found = self._redis.hgetall(keys.owner_limits())
        stored = await self._calls.reply(cast("Awaitable[dict[bytes, bytes]]", found))
        return {owner.decode(): text.decode() for owner, text in stored.items()}

    async def refresh(self, limits: OwnerLimits) -> None:
        """Bring a node's limits up to date.

        Raises:
            Overloaded: Redis is away.
        """
        version = await self._calls.reply(self._redis.get(keys.owner_limits_version()))
        if version == self._seen:
            return
        stored = await self.all()
        limits.at_run_time.clear()
        for owner, text in stored.items():
            try:
                limits.at_run_time[owner] = limits.default.changed(text)
            except ValueError as exc:
                log.warning("the limits of %s are not used, they %s", owner, exc)
        self._seen = version
