"""The benchmark of one Redis at its smallest."""

import asyncio

import pytest
from redis.asyncio import Redis

from benchmarks import one_redis
from benchmarks.one_redis import Costs


async def test_turns_run_to_their_end_and_each_part_has_its_cost(
    redis_url: str, redis: Redis
) -> None:
    costs = await asyncio.to_thread(one_redis.measure, redis_url, turns=32, slices=2, rounds=1)

    assert costs.turn > 0
    assert costs.slice >= 0
    assert await redis.keys("plain:*") == []


def test_a_ratio_is_the_cost_of_an_xadd_divided_by_ours() -> None:
    rows = {row.case: row for row in one_redis.rows(Costs(turn=1e-3, slice=1e-5, xadd=1e-6))}

    assert rows["one_redis_slice"].ratio == pytest.approx(0.1)
    assert rows["one_redis_turn"].ours == pytest.approx(1000)
