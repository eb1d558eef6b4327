"""The overview for operators: queue, waits and workers of each model, as scripts left them."""

from collections.abc import Callable

import redis.asyncio

from tests.turns.conftest import MODEL, MakeTurn, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.overview import ModelOverview, WaitingTier
from turnstream.turns.queue import TurnQueue

ABOUT = {"created": 0, "context": 64, "temperature": 1.0, "top_p": 1.0}


async def one_model(turn_client: TurnClient) -> ModelOverview:
    [model] = (await turn_client.overview()).models
    assert model.name == MODEL
    return model


def of_tier(model: ModelOverview, tier: str) -> WaitingTier:
    return next(each for each in model.tiers if each.tier == tier)


async def test_a_redis_without_turns_and_workers_has_no_models(turn_client: TurnClient) -> None:
    overview = await turn_client.overview()

    assert overview.models == ()
    assert overview.batches == 0


async def test_workers_and_their_slots_are_counted(
    turn_client: TurnClient, make_queue: Callable[..., TurnQueue]
) -> None:
    for worker, free in (("w0", 3), ("w1", 1)):
        queue = make_queue(worker)
        queue.heartbeat([], ABOUT, slots=4)
        queue.claim(free)

    model = await one_model(turn_client)

    assert (model.workers, model.slots, model.free_slots) == (2, 8, 4)
    assert [tier.tier for tier in model.tiers] == ["priority", "default", "flex", "batch"]
    assert {(tier.waiting, tier.oldest_seconds, tier.eta_seconds) for tier in model.tiers} == {
        (0, 0.0, 0.0)
    }


async def test_waiting_turns_are_counted_by_tier_and_without_a_worker_nobody_knows_how_long(
    turn_client: TurnClient, make_turn: MakeTurn
) -> None:
    for tier in ("default", "default", "batch"):
        await submitted(turn_client, make_turn(tier=tier))

    model = await one_model(turn_client)

    assert [tier.waiting for tier in model.tiers] == [0, 2, 0, 1]
    assert {tier.eta_seconds for tier in model.tiers} == {None}


async def test_the_oldest_wait_is_that_of_the_oldest_turn_also_behind_a_newer_one(
    turn_client: TurnClient, make_turn: MakeTurn, queue: TurnQueue, redis: "redis.asyncio.Redis"
) -> None:
    for _ in range(3):
        turn = await submitted(turn_client, make_turn(owner="ann"))
        await redis.hincrby(keys.turn(turn.id), "queued_at", -90_000)
    bob = await submitted(turn_client, make_turn(owner="bob"))
    queue.claim(1)
    [head] = await redis.zrange(keys.queue(MODEL, "default"), 0, 0)
    assert head.decode().endswith(bob.id)

    default = of_tier(await one_model(turn_client), "default")

    assert default.waiting == 3
    assert 90 <= default.oldest_seconds < 110


async def test_a_turn_that_was_put_back_waits_since_its_last_claim(
    turn_client: TurnClient, make_turn: MakeTurn, queue: TurnQueue, redis: "redis.asyncio.Redis"
) -> None:
    turn = await submitted(turn_client, make_turn())
    await redis.hincrby(keys.turn(turn.id), "queued_at", -90_000)
    claimed = queue.claim(1)
    assert claimed is not None
    assert 90 <= claimed.waited_seconds < 110
    queue.requeue([(claimed.id, claimed.attempt)])

    assert of_tier(await one_model(turn_client), "default").oldest_seconds < 20
