"""A batch is fed by one feeder at a time, and moves on only from where it stands."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.feeding import PLAN, mark_of, taken_over
from turnstream.turns import keys
from turnstream.turns.batches import Batch, Batches, Status
from turnstream.turns.feed import BatchLost, Feed, turn_id
from turnstream.turns.turn import Turn


async def test_a_batch_has_one_feeder_until_its_lease_runs_out(
    redis: "redis.asyncio.Redis", feed: Feed, batch: Batch
) -> None:
    assert await feed.take() is None

    assert (await taken_over(redis, feed, batch)).epoch == batch.epoch + 1


async def test_a_batch_that_is_let_go_of_is_taken_at_once(feed: Feed, batch: Batch) -> None:
    await feed.let_go(batch)

    taken = await feed.take()

    assert taken is not None
    assert taken.id == batch.id


async def test_a_feeder_that_lost_its_batch_can_change_nothing(
    redis: "redis.asyncio.Redis", feed: Feed, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await taken_over(redis, feed, batch)
    before = await redis.hgetall(keys.batch(batch.id))

    for late in (
        feed.renew(batch),
        feed.step(batch, Status.VALIDATING, Status.FAILED),
        feed.submit(batch, [line_of(batch, 1)]),
        feed.mark(batch, 1, mark_of((1, ""))),
        feed.end(batch, Status.COMPLETED, 60, total=0),
    ):
        with pytest.raises(BatchLost):
            await late

    assert await redis.hgetall(keys.batch(batch.id)) == before
    assert await redis.exists(keys.turn(turn_id(batch.id, 1))) == 0


async def test_a_batch_moves_on_only_from_where_it_stands(
    client: "redis.asyncio.Redis", feed: Feed, batch: Batch
) -> None:
    await Batches(client).cancel(batch.id, "ann")

    assert await feed.step(batch, Status.VALIDATING, Status.IN_PROGRESS) is Status.CANCELLING
    assert await feed.renew(batch) is Status.CANCELLING


async def test_an_ended_batch_leaves_its_record_and_nothing_else(
    redis: "redis.asyncio.Redis", feed: Feed, batch: Batch
) -> None:
    await feed.mark(batch, 1, mark_of((1, "")))
    await feed.end(batch, Status.COMPLETED, 60, completed_at=1)

    left = [key.decode() async for key in redis.scan_iter(match="ts:batch*")]
    assert sorted(left) == [keys.batch(batch.id), keys.batches("ann")]
    assert 0 < await redis.ttl(keys.batch(batch.id)) <= 60
    assert await feed.take() is None


async def test_a_batch_made_twice_under_one_key_is_one_batch(client: "redis.asyncio.Redis") -> None:
    batches = Batches(client)
    first = await batches.create("ann", PLAN, "k")

    assert (await batches.create("ann", replace(PLAN, created_at=5), "k")).id == first.id
    assert (await batches.create("bob", PLAN, "k")).id != first.id
    assert (await batches.create("ann", PLAN, None)).id != first.id
