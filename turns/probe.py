"""Checks whether Redis can take a turn: reading is not enough, since a turn must be written."""

import asyncio
from typing import Any

import redis
import redis.asyncio

from turnstream.turns.connection import connect, connect_async
from turnstream.turns.lua import Script
from turnstream.turns.redis_problem import REDIS_ERRORS, RedisProblem, problem_of
from turnstream.turns.wake_up import celery_keys, queue_of


class Probe:
    """One small write, which raises what a turn's write would; on an asyncio client awaitable.

    Args:
        celery: also what Celery needs; a node only sends wake-ups.
    """

    def __init__(
        self, client: "redis.Redis | redis.asyncio.Redis", model: str, *, celery: bool = False
    ) -> None:
        self._script = Script(client, "probe")
        self._keys = celery_keys(model) if celery else [queue_of(model)]

    def __call__(self) -> Any:
        return self._script(keys=self._keys)


async def redis_problem(
    url: str, model: str, *, key_prefix: str = "", celery: bool = False
) -> RedisProblem | None:
    """Return why Redis can't take a turn, or None if it can; tried once, on a new connection."""
    client = connect_async(url, key_prefix=key_prefix)
    try:
        await Probe(client, model, celery=celery)()
    except REDIS_ERRORS as exc:
        return problem_of(exc, url)
    finally:
        await asyncio.shield(client.aclose())
    return None


def redis_problem_now(url: str, model: str, *, key_prefix: str = "") -> RedisProblem | None:
    """Return why Redis can't take a worker's turns, or None if it can; for a thread."""
    with connect(url, key_prefix=key_prefix) as client:
        try:
            Probe(client, model, celery=True)()
        except REDIS_ERRORS as exc:
            return problem_of(exc, url)
    return None
