"""Creates Redis clients with the timeouts that docs/reliability.md promises.

redis-py's own defaults (five seconds, ten retries) would turn an outage into a minute of silence.
"""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from turnstream.turns import sentinel_pools
from turnstream.turns.prefixed_clients import AsyncClient, Client
from turnstream.turns.sentinel_url import sentinel_url

#: Seconds that a command may take; with the connecting this keeps a refusal within three seconds.
COMMAND_SECONDS = 1.5
CONNECT_SECONDS = 1.0
#: Connections of a node's commands; when all are in use, a further command waits for one. That is
#: no sign of an outage, so the wait is long enough for thousands of commands.
CONNECTIONS = 32
POOL_WAIT_SECONDS = 20.0


def connect_async(url: str, *, key_prefix: str = "") -> "redis.asyncio.Redis":
    """Create the client for a node's commands. A command is repeated once, on a new connection, if
    its connection was closed; every script is safe to repeat."""
    options: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "timeout": POOL_WAIT_SECONDS,
        "protocol": 2,
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    return _async_client(url, key_prefix, options, blocking=True)


def subscribe_async(url: str, *, key_prefix: str = "") -> "redis.asyncio.Redis":
    """Create the client for a node's subscription, which has no read timeout."""
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": AsyncRetry(NoBackoff(), 0),
    }
    return _async_client(url, key_prefix, options, blocking=False)


def connect(url: str, *, key_prefix: str = "") -> "redis.Redis":
    """Create a worker thread's client, which fails fast; the thread decides about retries."""
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    if (sentinels := sentinel_url(url)) is not None:
        pool = sentinel_pools.pool(sentinels, **options)
    else:
        pool = redis.ConnectionPool.from_url(url, **options)
    return Client.of(pool, key_prefix) if key_prefix else redis.Redis.from_pool(pool)


def check_url(url: str) -> None:
    """Read all of a URL, and do not connect.

    Raises:
        ValueError, TypeError, redis.RedisError: it can't be read.
    """
    sentinels = sentinel_url(url)
    plain = url if sentinels is None else sentinels.redis_url
    redis.ConnectionPool.from_url(plain).make_connection()


def _async_client(
    url: str, key_prefix: str, options: dict[str, Any], *, blocking: bool
) -> "redis.asyncio.Redis":
    kind = redis.asyncio.BlockingConnectionPool if blocking else redis.asyncio.ConnectionPool
    pool: redis.asyncio.ConnectionPool
    if (sentinels := sentinel_url(url)) is not None:
        pool = sentinel_pools.async_pool(sentinels, blocking=blocking, **options)
    else:
        pool = kind.from_url(url, **options)
    return AsyncClient.of(pool, key_prefix) if key_prefix else redis.asyncio.Redis.from_pool(pool)
