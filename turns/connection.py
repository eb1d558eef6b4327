"""Makes Redis clients with the time-outs that the promises need.

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
#: no sign that Redis is away, so it may last as long as a crowd of thousands takes.
CONNECTIONS = 32
CROWD_SECONDS = 20.0


def connect_async(url: str) -> "redis.asyncio.Redis":
    """Make the client of a node's commands. A command is repeated once, on a new connection, if its
    connection turns out to be dead; every script of ours can bear that."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=CROWD_SECONDS,
        protocol=2,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    return redis.asyncio.Redis.from_pool(pool)


def subscribe_async(url: str) -> "redis.asyncio.Redis":
    """Make the client of a node's one subscription: it may be silent for as long as it likes."""
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
    )


def connect(url: str) -> "redis.Redis":
    """Make a worker thread's client: it fails at once, and the thread decides what to do."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
