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
from turnstream.turns.direct_clients import LoopClient, ThreadClient
from turnstream.turns.prefixed_clients import AsyncClient, Client, prefix_of
from turnstream.turns.sentinel_url import sentinel_url

#: Seconds that a command may take; with the connecting this keeps a refusal within three seconds.
COMMAND_SECONDS = 1.5
CONNECT_SECONDS = 1.0
#: Connections of a node's commands; when all are in use, a further command waits for one. That is
#: no sign of an outage, so the wait is long enough for thousands of commands.
CONNECTIONS = 32
POOL_WAIT_SECONDS = 20.0
#: Of a node's connections that wait for as long as there is nothing to read.
_UNLIMITED: dict[str, Any] = {
    "protocol": 2,
    "socket_timeout": None,
    "socket_connect_timeout": CONNECT_SECONDS,
    "retry": AsyncRetry(NoBackoff(), 0),
}


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
    return _async_client(url, key_prefix, _UNLIMITED, blocking=False)


def connect_direct_async(url: str, *, key_prefix: str = "") -> LoopClient:
    """Create a node's client for the calls that a turn waits for; they share one connection."""
    client = LoopClient.of(_async_pool(url, _UNLIMITED, blocking=False), key_prefix)
    client.seconds = COMMAND_SECONDS
    return client


def direct(client: "redis.Redis") -> ThreadClient:
    """Return a client beside a worker's, for one of its threads; closing it does nothing."""
    made = ThreadClient(connection_pool=client.connection_pool)
    made.key_prefix = prefix_of(client)
    return made


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
    pool = _async_pool(url, options, blocking=blocking)
    return AsyncClient.of(pool, key_prefix) if key_prefix else redis.asyncio.Redis.from_pool(pool)


def _async_pool(
    url: str, options: dict[str, Any], *, blocking: bool
) -> "redis.asyncio.ConnectionPool":
    if (sentinels := sentinel_url(url)) is not None:
        return sentinel_pools.async_pool(sentinels, blocking=blocking, **options)
    kind = redis.asyncio.BlockingConnectionPool if blocking else redis.asyncio.ConnectionPool
    return kind.from_url(url, **options)
