"""Creates Redis clients with the timeouts that docs/reliability.md promises.

redis-py's own defaults (five seconds, ten retries) would turn an outage into a minute of silence.
"""

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

#: Seconds that a command may take; with the connecting this keeps a refusal within three seconds.
COMMAND_SECONDS = 1.5
CONNECT_SECONDS = 1.0
#: Connections of a node's commands; when all are in use, a further command waits for one. That is
#: no sign of an outage, so the wait is long enough for thousands of commands.
CONNECTIONS = 32
POOL_WAIT_SECONDS = 20.0


def connect_async(url: str) -> "redis.asyncio.Redis":
    """Create the client for a node's commands. A command is repeated once, on a new connection, if
    its connection was closed; every script is safe to repeat."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=POOL_WAIT_SECONDS,
        protocol=2,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return redis.asyncio.Redis.from_pool(pool)


def subscribe_async(url: str) -> "redis.asyncio.Redis":
    """Create the client for a node's subscription, which has no read timeout."""
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
    )


def connect(url: str) -> "redis.Redis":
    """Create a worker thread's client, which fails fast; the thread decides about retries."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
