"""A batch has one runner at a time, and its status changes only from the expected one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.batch_values import PLAN, commit_of, taken_over
from turnstream.turns import keys
from turnstream.turns.batch import Batch, BatchLost, Status, line_turn_id
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.turn import Turn


async def test_a_batch_has_one_runner_until_its_lease_expires(
    redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch
) -> None:
    assert await store.take() is None

    assert (await taken_over(redis, store, batch)).epoch == batch.epoch + 1


async def test_a_released_batch_can_be_taken_at_once(store: BatchStore, batch: Batch) -> None:
    await store.release(batch)

    taken = await store.take()

    assert taken is not None
    assert taken.id == batch.id


async def test_a_runner_that_lost_its_batch_can_change_nothing(
    redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await taken_over(redis, store, batch)
    before = await redis.hgetall(keys.batch(batch.id))

    for late in (
        store.renew(batch),
        store.advance(batch, Status.VALIDATING, Status.FAILED),
        store.submit_lines(batch, [line_of(batch, 1)]),
        store.commit(batch, 1, commit_of((1, ""))),
        store.end(batch, Status.COMPLETED, 60, total=0),
    ):
        with pytest.raises(BatchLost):
            await late

    assert await redis.hgetall(keys.batch(batch.id)) == before
    assert await redis.exists(keys.turn(line_turn_id(batch.id, 1))) == 0


async def test_a_status_changes_only_from_the_expected_one(store: BatchStore, batch: Batch) -> None:
    await store.cancel(batch.id, "ann")

    assert await store.advance(batch, Status.VALIDATING, Status.IN_PROGRESS) is Status.CANCELLING
    assert await store.renew(batch) is Status.CANCELLING


async def test_an_ended_batch_leaves_its_record_and_nothing_else(
    redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch
) -> None:
    await store.commit(batch, 1, commit_of((1, "")))
    await store.end(batch, Status.COMPLETED, 60, completed_at=1)

    left = [key.decode() async for key in redis.scan_iter(match="ts:batch*")]
    assert sorted(left) == [keys.batch(batch.id), keys.batches("ann")]
    assert 0 < await redis.ttl(keys.batch(batch.id)) <= 60
    assert await store.take() is None


async def test_a_batch_created_twice_under_one_key_is_one_batch(store: BatchStore) -> None:
    first = await store.create("ann", PLAN, "k")

    assert (await store.create("ann", replace(PLAN, created_at=5), "k")).id == first.id
    assert (await store.create("bob", PLAN, "k")).id != first.id
    assert (await store.create("ann", PLAN, None)).id != first.id
