"""Limits of owners that were set at run time: stored as text, known to all nodes within a second.

A counter says whether they changed, so that a node with ten thousand owners reads them only then.
"""

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.limits import Limits, OwnerLimits
from turnstream.turns.redis_calls import RedisCalls

log = logging.getLogger(__name__)


class CurrentLimits:
    """The limits that are in force at a node: those that were set at run time go before others."""

    def __init__(self, configured: OwnerLimits) -> None:
        self._configured = configured
        self._at_run_time: Mapping[str, Limits] = {}

    def of(self, owner: str) -> Limits:
        """Return the limits of an owner."""
        return self._at_run_time.get(owner) or self._configured.of(owner)

    def set(self, stored: Mapping[str, str]) -> None:
        """Put the limits of these owners, as text, in place of those that were set before."""
        read: dict[str, Limits] = {}
        for owner, text in stored.items():
            try:
                read[owner] = self._configured.default.changed(text)
            except ValueError as exc:
                log.warning("the limits of %s are not used, they %s", owner, exc)
        self._at_run_time = read


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

    async def refresh(self, limits: CurrentLimits) -> None:
        """Bring a node's limits up to date.

        Raises:
            Overloaded: Redis is away.
        """
        version = await self._calls.reply(self._redis.get(keys.owner_limits_version()))
        if version == self._seen:
            return
        limits.set(await self.all())
        self._seen = version
