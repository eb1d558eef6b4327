"""Submits a turn and waits until replicas of Redis have it, so that it outlives a failover."""

from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError

from turnstream.turns.lua import Script

#: How long replicas may take to get a turn.
REPLICA_MS = 1000


async def submit_to(
    client: "redis.asyncio.Redis", submit: Script, arguments: dict[str, Any], *, replicas: int
) -> Any:
    """Return the script's reply once so many replicas have the turn; with 0 that is at once.

    Raises:
        redis.ResponseError: too few have it in time. The turn is in the primary all the same.
    """
    if not replicas:
        return await submit(**arguments)
    # WAIT is about what its own connection wrote.
    async with client.pipeline(transaction=False) as pipe:
        await submit(pipe=pipe, **arguments)
        pipe.wait(replicas, REPLICA_MS)
        reply, reached = await pipe.execute()
    if reached < replicas:
        raise ResponseError(f"NOREPLICAS {reached} of {replicas} replicas have the turn")
    return reply
