"""Asks, from outside, whether Redis answers and whether a turn would be answered."""

import asyncio

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

#: How long one question may take.
ANSWER_SECONDS = 2.0
#: Between two questions.
PAUSE_SECONDS = 0.05
#: Addresses that mean "all of this machine's" to a server, and where a client finds them.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def redis_answers(url: str, seconds: float) -> bool:
    """Wait for a Redis; False if it says nothing for so long. One that still reads its files has
    as much time as it needs."""
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


async def answers_turns(host: str, port: int) -> str | None:
    """Return None if a turn would be answered now, else what is missing."""
    host = LOOPBACK.get(host, host)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            status = await get_status(host, port, "/readyz")
    except (OSError, TimeoutError):
        return "the front end does not answer"
    return None if status == 200 else "no worker has loaded the model"


async def get_status(host: str, port: int, path: str) -> int:
    """GET a path and return the status; 0 for an answer that is not HTTP."""
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
