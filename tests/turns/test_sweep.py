"""Sweep: lost workers, lost readers, deadlines and models without workers."""

import asyncio
import dataclasses
import json
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, submitted
from tests.turns.test_follow import rest_of
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn

MakeQueue = Callable[..., TurnQueue]


async def end_of(turn_client: TurnClient, turn_id: str) -> dict[str, object]:
    async with turn_client.follow(turn_id, "ann", after=-1) as follower:
        end: dict[str, object] = json.loads((await rest_of(follower))[-1])
    return end


async def test_a_turn_not_stored_and_without_a_reader_is_cancelled(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    waiting = await submitted(turn_client, make_turn(store=False))
    await redis.zadd(keys.watches(), {waiting.id: 1})
    queue.sweep()

    assert (await end_of(turn_client, waiting.id))["type"] == "response.incomplete"
    assert queue.claim(1) is None


async def test_a_running_turn_not_stored_and_without_a_reader_is_cancelled_at_its_worker(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    running = await submitted(turn_client, make_turn(store=False))
    queue.claim(1)
    await redis.zadd(keys.watches(), {running.id: 1})
    queue.sweep()

    assert queue.heartbeat([(running.id, 1)], {}, slots=4) == [LeaseStatus.CANCEL]


async def test_a_stored_turn_goes_on_without_a_reader(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    await submitted(turn_client, make_turn(store=True))

    assert await redis.zcard(keys.watches()) == 0


async def test_a_reader_keeps_a_turn_that_is_not_stored_going(
    monkeypatch: pytest.MonkeyPatch, settings: TurnSettings, make_turn: MakeTurn, redis: Redis
) -> None:
    monkeypatch.setattr("turnstream.turns.client.MAINTAIN_SECONDS", 0.01)
    turn = make_turn(store=False)
    async with open_client(settings, "node-1") as turn_client, turn_client.submit(turn):
        before = await redis.zscore(keys.watches(), turn.id)
        async with asyncio.timeout(30):
            while await redis.zscore(keys.watches(), turn.id) == before:
                await asyncio.sleep(0.01)  # until the node has renewed the watch


async def test_a_turn_that_is_out_of_time_fails(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    await redis.zadd(keys.deadlines(), {turn.id: 1})
    queue.sweep()

    end = await end_of(turn_client, turn.id)
    assert end["type"] == "response.failed"
    assert "not answered in time" in json.dumps(end)
    assert queue.claim(1) is None


async def test_turns_of_a_model_without_workers_fail(
    turn_client: TurnClient,
    make_queue: MakeQueue,
    settings: TurnSettings,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    old = await submitted(turn_client, make_turn("old"))
    young = await submitted(turn_client, make_turn("young"))
    await redis.hset(keys.turn(old.id), "queued_at", 1)
    queue = make_queue("w0", dataclasses.replace(settings, no_worker_seconds=60))

    queue.sweep()

    assert "No worker serves this model." in json.dumps(await end_of(turn_client, old.id))
    claimed = queue.claim(1)
    assert claimed is not None
    assert claimed.id == young.id


async def test_turns_wait_as_long_as_a_worker_lives(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    await redis.hset(keys.turn(turn.id), "queued_at", 1)
    queue.heartbeat([], {}, slots=4)
    queue.sweep()

    assert await redis.zcard(keys.queue(MODEL, "default")) == 1


async def test_a_requeued_turn_is_claimed_at_once_and_its_attempt_is_not_counted_as_lost(
    turn_client: TurnClient,
    make_queue: MakeQueue,
    settings: TurnSettings,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    turn = await submitted(turn_client, make_turn())
    leaving = make_queue("w0")
    for attempt in (1, 2, 3, 4):
        leaving.claim(1)
        leaving.requeue([(turn.id, attempt)])
    leaving.claim(1)
    await redis.zadd(keys.leases(), {turn.id: 1})

    assert make_queue("w1").sweep() == [turn.id]
    claimed = make_queue("w1").claim(1)
    assert claimed is not None
    assert claimed.attempt == 6


async def test_a_turn_claimed_by_another_worker_cannot_be_requeued(
    turn_client: TurnClient, make_queue: MakeQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    make_queue("w0").claim(1)

    make_queue("w1").requeue([(turn.id, 1)])
    make_queue("w0").requeue([(turn.id, 2)])

    assert await redis.zcard(keys.queue(MODEL, "default")) == 0


async def test_after_an_outage_live_workers_renew_their_leases_before_any_expires(
    turn_client: TurnClient, make_queue: MakeQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    living = make_queue("w0")
    living.claim(1)
    await redis.zadd(keys.leases(), {turn.id: 1})
    await redis.hset(keys.sweep(), "last", 1)

    assert make_queue("w1").sweep() == []
    assert living.heartbeat([(turn.id, 1)], {}, slots=4) == [LeaseStatus.OK]
    await redis.hset(keys.sweep(), "grace_until", 0)
    assert make_queue("w1").sweep() == []


async def test_a_turn_whose_only_reader_left_is_cancelled_soon_and_one_with_another_reader_is_not(
    turn_client: TurnClient, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    alone, shared, stored = make_turn(store=False), make_turn(store=False), make_turn()
    for turn in (alone, shared, stored):
        await submitted(turn_client, turn)
    async with (
        open_client(settings, "node-2") as other,
        other.follow(shared.id, shared.owner, after=-1),
    ):
        for turn in (alone, shared, stored):
            await turn_client.abandon(turn.id)
        async with asyncio.timeout(20):
            while await status_of(turn_client, alone) != "cancelled":
                await asyncio.sleep(0.05)

        assert (
            await status_of(turn_client, shared) == await status_of(turn_client, stored) == "queued"
        )


async def status_of(turn_client: TurnClient, turn: Turn) -> str:
    status: str = json.loads(await turn_client.stored.response(turn.id, turn.owner))["status"]
    return status
