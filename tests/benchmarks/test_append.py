"""The append benchmark at its smallest: one call for each step, and the arithmetic of a ratio."""

import asyncio

from redis.asyncio import Redis

from benchmarks import append
from benchmarks.append import Spent


async def test_a_step_is_one_append_and_each_slice_of_the_peer_is_one_publish(
    redis_url: str, redis: Redis
) -> None:
    results = await asyncio.to_thread(append.measure, redis_url, (1, 4), slices=8, rounds=2)

    calls = {turns: (ours.calls, theirs.calls) for turns, (ours, theirs) in results.items()}
    # Redis counts the PUBLISH inside a script too, but not while the peer is measured.
    assert calls == {1: (16, 16), 4: (4, 16)}
    assert {ours.slices for ours, _ in results.values()} == {16}


def test_a_ratio_is_the_cost_of_a_publish_divided_by_that_of_an_append() -> None:
    def spent(cpu: float) -> Spent:
        return Spent(cpu_seconds=cpu, calls=1, slices=100)

    rows = append.rows({8: (spent(4.0) + spent(4.0), spent(1.0))})

    assert {row.case: (row.ours, row.ratio, row.floor) for row in rows} == {
        "append_redis_cpu_8": (4e4, 0.25, 0.125),
    }
