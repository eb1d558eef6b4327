"""Checks whether Redis answers and whether the service can answer a turn."""

import asyncio

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

#: Timeout of one check.
ANSWER_SECONDS = 2.0
#: Pause between two checks of Redis.
PAUSE_SECONDS = 0.05
#: Wildcard addresses of a server, and the address at which a client reaches it.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def redis_answers(url: str, seconds: float) -> bool:
    """Wait until Redis answers; return False if it does not within this time.

    The time starts again while Redis loads its files, however long that takes.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    client = redis.asyncio.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    async with client:
        while loop.time() < deadline:
            try:
                await client.ping()
                return True
            except BusyLoadingError:
                deadline = loop.time() + seconds
            except (RedisError, OSError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)
    return False


async def readiness_problem(host: str, port: int) -> str | None:
    """Return why the service cannot answer a turn yet, or None if it can."""
    host = LOOPBACK.get(host, host)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status = await get_status(host, port, "/readyz")
    except (OSError, TimeoutError):
        return "the front end does not answer"
    return None if status == 200 else "no worker has loaded the model yet"


async def get_status(host: str, port: int, path: str) -> int:
    """GET a path and return the status; 0 if the answer is not HTTP."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
    finally:
        writer.close()
    parts = line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
