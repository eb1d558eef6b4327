"""A request repeated with its key is the same turn, never a second one."""

import asyncio

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, ending, submitted
from tests.turns.test_follow import rest_of
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import BadRequest
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings


async def test_the_same_key_follows_the_same_turn(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    first = await submitted(turn_client, make_turn(key="k"))

    async with turn_client.submit(make_turn(key="k")) as follower:
        assert follower.turn_id == first.id
        assert len(await anext(follower.batches())) == 2

    assert await redis.zcard(keys.queue(MODEL, "default")) == 1


async def test_one_key_used_at_two_nodes_at_once_creates_one_turn_that_both_read_whole(
    settings: TurnSettings, turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    async with (
        open_client(settings, "node-2") as elsewhere,
        turn_client.submit(make_turn(key="k")) as one,
        elsewhere.submit(make_turn(key="k")) as two,
    ):
        queue.claim(1)
        log.append([ending(one.turn_id, first=3)])
        first, second = await asyncio.gather(rest_of(one), rest_of(two))

    assert one.turn_id == two.turn_id
    assert first == second


async def test_the_same_key_is_another_turn_for_another_owner(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    await submitted(turn_client, make_turn(key="k", owner="ann"))
    await submitted(turn_client, make_turn(key="k", owner="bob"))

    assert await redis.zcard(keys.queue(MODEL, "default")) == 2


async def test_a_key_used_for_another_request_is_refused(
    turn_client: TurnClient, make_turn: MakeTurn
) -> None:
    await submitted(turn_client, make_turn("this", key="k"))

    with pytest.raises(BadRequest) as refused:
        await submitted(turn_client, make_turn("that", key="k"))

    assert (refused.value.code, refused.value.param) == (
        "idempotency_key_reused",
        "idempotency_key",
    )


async def test_a_key_outlives_its_turn_and_its_log(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis, settings: TurnSettings
) -> None:
    await submitted(turn_client, make_turn(key="k"))

    left = await redis.ttl(keys.idempotency("ann", "k"))
    assert left > settings.turn_seconds
