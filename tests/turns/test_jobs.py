"""A job is fed by one feeder at a time, and moves on only from where it stands."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.feeding import PLAN, mark_of, taken_over
from turnstream.turns import keys
from turnstream.turns.feed import Feed, JobLost, turn_id
from turnstream.turns.jobs import Job, Jobs, Status
from turnstream.turns.turn import Turn


async def test_a_job_has_one_feeder_until_its_lease_runs_out(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    assert await feed.take() is None

    assert (await taken_over(redis, feed, job)).epoch == job.epoch + 1


async def test_a_job_that_is_let_go_of_is_taken_at_once(feed: Feed, job: Job) -> None:
    await feed.let_go(job)

    taken = await feed.take()

    assert taken is not None
    assert taken.id == job.id


async def test_a_feeder_that_lost_its_job_can_change_nothing(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    await taken_over(redis, feed, job)
    before = await redis.hgetall(keys.job(job.id))

    for late in (
        feed.renew(job),
        feed.step(job, Status.VALIDATING, Status.FAILED),
        feed.submit(job, [line_of(job, 1)]),
        feed.mark(job, 1, mark_of((1, ""))),
        feed.end(job, Status.COMPLETED, 60, total=0),
    ):
        with pytest.raises(JobLost):
            await late

    assert await redis.hgetall(keys.job(job.id)) == before
    assert await redis.exists(keys.turn(turn_id(job.id, 1))) == 0


async def test_a_job_moves_on_only_from_where_it_stands(
    client: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    await Jobs(client).cancel(job.id, "ann")

    assert await feed.step(job, Status.VALIDATING, Status.IN_PROGRESS) is Status.CANCELLING
    assert await feed.renew(job) is Status.CANCELLING


async def test_an_ended_job_leaves_its_record_and_nothing_else(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    await feed.mark(job, 1, mark_of((1, "")))
    await feed.end(job, Status.COMPLETED, 60, completed_at=1)

    left = [key.decode() async for key in redis.scan_iter(match="ts:job*")]
    assert sorted(left) == [keys.job(job.id), keys.jobs("ann")]
    assert 0 < await redis.ttl(keys.job(job.id)) <= 60
    assert await feed.take() is None


async def test_a_job_made_twice_under_one_key_is_one_job(client: "redis.asyncio.Redis") -> None:
    jobs = Jobs(client)
    first = await jobs.create("ann", PLAN, "k")

    assert (await jobs.create("ann", replace(PLAN, created_at=5), "k")).id == first.id
    assert (await jobs.create("bob", PLAN, "k")).id != first.id
    assert (await jobs.create("ann", PLAN, None)).id != first.id
