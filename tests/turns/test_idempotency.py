"""A request repeated with its key is the same turn, never a second one."""

import asyncio

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, ending, handed_in
from tests.turns.test_follow import rest_of
from turnstream.turns import keys
from turnstream.turns.errors import BadRequest
from turnstream.turns.front import Front, open_front
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings


async def test_the_same_key_follows_the_same_turn(
    front: Front, make_turn: MakeTurn, redis: Redis
) -> None:
    first = await handed_in(front, make_turn(key="k"))

    async with front.submit(make_turn(key="k")) as follower:
        assert follower.turn_id == first.id
        assert len(await anext(follower.batches())) == 2

    assert await redis.zcard(keys.queue(MODEL, "default")) == 1


async def test_a_key_raced_from_two_nodes_makes_one_turn_and_both_read_all_of_it(
    settings: TurnSettings, front: Front, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    async with (
        open_front(settings, "node-2") as elsewhere,
        front.submit(make_turn(key="k")) as one,
        elsewhere.submit(make_turn(key="k")) as two,
    ):
        queue.claim(1)
        log.append([ending(one.turn_id, first=3)])
        first, second = await asyncio.gather(rest_of(one), rest_of(two))

    assert one.turn_id == two.turn_id
    assert first == second


async def test_the_same_key_is_another_turn_for_another_owner(
    front: Front, make_turn: MakeTurn, redis: Redis
) -> None:
    await handed_in(front, make_turn(key="k", owner="ann"))
    await handed_in(front, make_turn(key="k", owner="bob"))

    assert await redis.zcard(keys.queue(MODEL, "default")) == 2


async def test_a_key_used_for_something_else_is_refused(front: Front, make_turn: MakeTurn) -> None:
    await handed_in(front, make_turn("this", key="k"))

    with pytest.raises(BadRequest) as refused:
        await handed_in(front, make_turn("that", key="k"))

    assert (refused.value.code, refused.value.param) == (
        "idempotency_key_reused",
        "idempotency_key",
    )


async def test_a_key_outlives_its_turn_and_its_log(
    front: Front, make_turn: MakeTurn, redis: Redis, settings: TurnSettings
) -> None:
    await handed_in(front, make_turn(key="k"))

    left = await redis.ttl(keys.once("ann", "k"))
    assert left > settings.turn_seconds
