"""A caller of Redis that is cancelled ends, at whatever moment that is."""

import asyncio

import pytest

from turnstream.turns.connection import connect_async
from turnstream.turns.probe import Probe
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_calls import RedisCalls


@pytest.mark.parametrize("connected", [True, False])
async def test_a_call_that_is_cancelled_at_any_moment_does_not_return(
    redis_url: str, connected: bool
) -> None:
    client = connect_async(redis_url)
    calls = RedisCalls(ProblemLog(redis_url))
    for passes in range(16):
        await calls.reply(Probe(client, "tiny")())
        if not connected:
            await client.connection_pool.disconnect()
        returned = False

        async def call() -> None:
            nonlocal returned
            await calls.reply(Probe(client, "tiny")())
            returned = True

        task = asyncio.create_task(call())
        for _ in range(passes):
            await asyncio.sleep(0)
        if returned:
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not returned
    await client.aclose()
