"""The append benchmark at its smallest: a call for each step, and ratios the right way round."""

import asyncio

from redis.asyncio import Redis

from benchmarks import append
from benchmarks.append import Spent


async def test_each_step_is_one_call_to_redis_and_each_slice_of_the_peers_is_one(
    redis_url: str, redis: Redis
) -> None:
    results = await asyncio.to_thread(append.measure, redis_url, (1, 4), slices=8, rounds=2)

    calls = {turns: (ours.calls, theirs.calls) for turns, (ours, theirs) in results.items()}
    # Redis counts the PUBLISH inside a script too, but not while the peer is measured.
    assert calls == {1: (16, 16), 4: (4, 16)}
    assert {ours.slices for ours, _ in results.values()} == {16}


def test_a_ratio_is_the_cost_of_a_publish_over_that_of_an_append() -> None:
    def spent(cpu: float, command: float) -> Spent:
        return Spent(cpu_seconds=cpu, command_seconds=command, calls=1, slices=100)

    rows = append.rows({8: (spent(4.0, 2.0) + spent(4.0, 2.0), spent(1.0, 0.2))})

    assert {row.case: (row.ours, row.ratio, row.floor) for row in rows} == {
        "append_redis_cpu_8": (4e4, 0.25, 0.125),
        "append_command_8": (2e4, 0.1, None),
    }
