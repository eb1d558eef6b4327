"""Workers lease their indexes: no two have one at the same time, and a free one is used again."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from redis.asyncio import Redis

from turnstream.turns import keys
from turnstream.turns.connection import connect
from turnstream.turns.queue import TurnQueue
from turnstream.turns.worker_index import WorkerIndex

SHORT = 0.05

Worker = Callable[..., WorkerIndex]


@pytest.fixture
def worker(redis_url: str, redis: Redis) -> Iterator[Worker]:
    with connect(redis_url) as client:

        def make(
            index: int | None = None, *, lease_seconds: float = 30, model: str = "tiny"
        ) -> WorkerIndex:
            return WorkerIndex(client, model=model, index=index, lease_seconds=lease_seconds)

        yield make


async def test_workers_of_a_model_that_start_together_get_different_indexes(worker: Worker) -> None:
    workers = [worker() for _ in range(8)]
    indexes = await asyncio.gather(*(asyncio.to_thread(each.take) for each in workers))

    assert sorted(indexes) == list(range(8))
    assert all(each.renew() for each in workers)
    assert worker(model="other").take() == 0


def test_the_index_of_a_worker_that_ended_is_free_at_once(worker: Worker) -> None:
    first, second = worker(), worker()
    assert [first.take(), second.take()] == [0, 1]
    first.release()

    assert worker().take() == 0


async def test_the_index_of_a_worker_that_was_killed_is_free_when_its_lease_lapses(
    worker: Worker,
) -> None:
    killed = worker(lease_seconds=SHORT)
    assert killed.take() == 0
    assert worker().take() == 1
    await asyncio.sleep(2 * SHORT)

    successor = worker()
    assert successor.take() == 0
    assert not killed.renew()
    killed.release()
    assert successor.renew()
    assert worker().take() == 2


async def test_a_worker_keeps_its_index_while_redis_is_away(
    worker: Worker, redis: Redis, make_queue: Callable[..., TurnQueue]
) -> None:
    alive = worker(lease_seconds=SHORT)
    alive.take()
    make_queue().sweep()
    # As after an outage of a minute: nobody swept, and no lease could be renewed.
    await redis.hincrby(keys.sweep(), "last", -60_000)
    await asyncio.sleep(2 * SHORT)
    make_queue().sweep()

    assert worker().take() == 1
    assert alive.renew()


def test_a_worker_takes_its_index_again_from_a_redis_that_lost_its_data(worker: Worker) -> None:
    alive = worker()
    alive.take()
    alive.release()

    assert alive.renew()
    assert worker().take() == 1


def test_a_worker_of_an_earlier_release_keeps_the_index_that_was_set_for_it(
    worker: Worker, make_queue: Callable[..., TurnQueue]
) -> None:
    make_queue("w0").heartbeat([], {}, slots=1)

    assert worker().take() == 1


def test_an_index_that_was_set_is_taken_from_whoever_has_it_and_not_given_to_others(
    worker: Worker,
) -> None:
    leased, fixed = worker(), worker(0)
    assert leased.take() == 0

    assert fixed.take() == 0
    assert not leased.renew()
    assert worker().take() == 1
