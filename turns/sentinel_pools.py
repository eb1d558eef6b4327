"""Connection pools that ask Sentinels where the primary is, each time that they connect.

So a failover needs nothing else: connections to the old primary end, or are ended when it says that
it is read-only, and the next one leads to the new primary.
"""

import asyncio
import threading
from typing import Any

import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from turnstream.turns.sentinel_url import SentinelUrl

#: How long one Sentinel may take to connect, and to reply; then the next one is asked.
SENTINEL_SECONDS = 0.5


class _SubscriberPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Also closes its connections to Sentinels, and asks them for one connection at a time.

    redis-py moves the Sentinel that replied to the front of their list: two at once would leave it
    there twice, and another not at all.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._asking = asyncio.Lock()

    async def get_master_address(self) -> Any:
        async with self._asking:
            return await super().get_master_address()  # type: ignore[no-untyped-call]

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


class _CommandPool(_SubscriberPool, BlockingConnectionPool):
    """As many connections as it may have; then callers wait for one."""


class _WorkerPool(redis.sentinel.SentinelConnectionPool):
    """Also closes its connections to Sentinels, and asks them for one connection at a time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._asking = threading.Lock()

    def get_master_address(self) -> Any:
        with self._asking:
            return super().get_master_address()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        super().close()
        for sentinel in self.sentinel_manager.sentinels:
            sentinel.close()


def async_pool(
    url: SentinelUrl, *, blocking: bool, **options: Any
) -> "redis.asyncio.ConnectionPool":
    """Return the pool of a node; `blocking`: callers wait when all connections are in use."""
    kind: Any = _CommandPool if blocking else _SubscriberPool
    make: Any = redis.asyncio.sentinel.Sentinel
    retry = AsyncRetry(NoBackoff(), 0)
    sentinels = make(url.hosts, sentinel_kwargs=sentinel_options(url) | {"retry": retry})
    made: redis.asyncio.ConnectionPool = kind(url.name, sentinels, **options | _options(url))
    return made


def pool(url: SentinelUrl, **options: Any) -> "redis.ConnectionPool":
    """Return the pool of a worker."""
    kind: Any = _WorkerPool
    make: Any = redis.sentinel.Sentinel
    retry = Retry(NoBackoff(), 0)
    sentinels = make(url.hosts, sentinel_kwargs=sentinel_options(url) | {"retry": retry})
    made: redis.ConnectionPool = kind(url.name, sentinels, **options | _options(url))
    return made


def sentinel_options(url: SentinelUrl) -> dict[str, Any]:
    """Return the options of a connection to a Sentinel, without its host."""
    return {
        "protocol": 2,
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        **url.login,
        **({"ssl": True} | url.tls if url.redis_url.startswith("rediss://") else {}),
    }


def _options(url: SentinelUrl) -> dict[str, Any]:
    # The class of the URL's connection is one that does not ask Sentinels.
    tls = url.options.get("connection_class") is not None
    rest = {k: v for k, v in url.options.items() if k != "connection_class"}
    return rest | ({"ssl": True} if tls else {})
