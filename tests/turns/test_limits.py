"""What an owner may ask for, and what they are told beyond it."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, handed_in
from turnstream.turns import keys
from turnstream.turns.environment import SettingError
from turnstream.turns.errors import RateLimited, TierNotAllowed
from turnstream.turns.front import Front, open_front
from turnstream.turns.limits import Limits, OwnerLimits, cost
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import JobLine

#: Opens a node with limits.
Limited = Callable[[str], AbstractAsyncContextManager[Front]]


def read(text: str) -> OwnerLimits:
    return OwnerLimits.read({"TURNSTREAM_LIMITS": text})


@pytest.fixture
def limited(settings: TurnSettings) -> Limited:
    @asynccontextmanager
    async def make(text: str) -> AsyncIterator[Front]:
        async with open_front(dataclasses.replace(settings, limits=read(text)), "n") as front:
            yield front

    return make


async def refusal(front: Front, make_turn: MakeTurn, redis: Redis, **turn: object) -> RateLimited:
    """Hand in a turn that is refused, and see that nothing is left of it."""
    refused = make_turn(**turn)
    with pytest.raises(RateLimited) as caught:
        await handed_in(front, refused)
    assert not await redis.exists(keys.turn(refused.id))
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert caught.value.retry_seconds is not None
    return caught.value


def test_an_owners_own_limits_stand_over_everybodys() -> None:
    limits = read("queued=5 ann:queued=9, ann:tiers=default+flex,bob:queued=0")

    assert limits.of("eve") == Limits(queued=5)
    assert limits.of("ann") == Limits(queued=9, tiers=frozenset({"default", "flex"}))
    assert limits.of("bob") == Limits()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("queued", "'queued'"),
        ("ann:que=1", "'que'"),
        ("queued=many", "queued"),
        ("tiers=best", "'best'"),
        ("tiers=flex+", "'flex+'"),
    ],
)
def test_a_bad_limit_is_named(text: str, named: str) -> None:
    with pytest.raises(SettingError, match="TURNSTREAM_LIMITS") as refused:
        read(text)
    assert named in str(refused.value)


async def test_turns_in_flight_are_limited_until_one_has_ended(
    limited: Limited,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    async with limited("in_flight=2") as front:
        first = await handed_in(front, make_turn())
        await handed_in(front, make_turn())
        queue.claim(1)
        assert "in_flight=2" in (await refusal(front, make_turn, redis)).message
        await handed_in(front, make_turn(owner="bob"))

        log.append([ending(first.id, first=3)])

        await handed_in(front, make_turn())
        await refusal(front, make_turn, redis)


async def test_turns_that_wait_are_limited_until_one_is_begun_or_stopped(
    limited: Limited, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("queued=2") as front:
        await handed_in(front, make_turn())
        second = await handed_in(front, make_turn())
        await refusal(front, make_turn, redis)
        queue.claim(1)
        third = await handed_in(front, make_turn())
        await refusal(front, make_turn, redis)

        for turn in (second, third):
            await front.cancel(turn.id, "ann")

        for _ in range(2):
            await handed_in(front, make_turn())
        await refusal(front, make_turn, redis)


async def test_requests_a_minute_come_back_as_the_minute_goes_by(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("requests_per_minute=4") as front:
        for _ in range(4):
            await handed_in(front, make_turn())
        refused = await refusal(front, make_turn, redis)
        assert 10 <= (refused.retry_seconds or 0) <= 15

        await redis.hincrby(keys.owner("ann"), "at", -30_000)

        for _ in range(2):
            await handed_in(front, make_turn())
        await refusal(front, make_turn, redis)


async def test_tokens_a_minute_are_estimated_first_and_what_they_were_in_the_end(
    limited: Limited,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    turn = make_turn("x" * 40)
    assert cost(turn) == 10 + 8
    async with limited("tokens_per_minute=40") as front:
        await handed_in(front, turn)
        other = await handed_in(front, make_turn("x" * 40))
        await refusal(front, make_turn, redis, text="x" * 40)
        queue.claim(1)
        end = ending(turn.id, first=3)
        assert end.final is not None
        log.append([dataclasses.replace(end, final=dataclasses.replace(end.final, tokens=3))])
        await handed_in(front, make_turn("x" * 40))
        await refusal(front, make_turn, redis, text="x" * 40)

        # What never began has used nothing.
        await front.cancel(other.id, "ann")
        await handed_in(front, make_turn("x" * 40))
        await refusal(front, make_turn, redis, text="x" * 40)


async def test_a_turn_that_takes_more_than_a_minutes_tokens_goes_when_nothing_else_was_used(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("tokens_per_minute=10") as front:
        await handed_in(front, make_turn("x" * 400))
        refused = await refusal(front, make_turn, redis)

    assert (refused.retry_seconds or 0) > 600


async def test_a_batch_is_not_counted(limited: Limited, make_turn: MakeTurn, redis: Redis) -> None:
    text = "in_flight=1 queued=1 requests_per_minute=1 tokens_per_minute=20"
    async with limited(text) as front:
        await redis.hset(keys.job("j"), "epoch", 1)  # type: ignore[misc]
        for number in range(3):
            line = JobLine(job="j", epoch=1, number=number)
            await handed_in(front, dataclasses.replace(make_turn(tier="batch"), job=line))
        await handed_in(front, make_turn())


async def test_who_asks_in_the_tier_of_the_batches_is_counted_and_gets_the_room_back(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("in_flight=1") as front:
        turn = await handed_in(front, make_turn(tier="batch"))
        await refusal(front, make_turn, redis, tier="batch")
        await front.cancel(turn.id, turn.owner)
        await handed_in(front, make_turn(tier="batch"))


async def test_a_tier_that_an_owner_may_not_use_is_refused_by_name(
    limited: Limited, make_turn: MakeTurn
) -> None:
    async with limited("ann:tiers=default+flex") as front:
        with pytest.raises(TierNotAllowed, match="'priority', only in default, flex") as refused:
            await handed_in(front, make_turn(tier="priority"))
        await handed_in(front, make_turn(tier="priority", owner="bob"))
        await handed_in(front, make_turn(tier="flex"))

    assert (refused.value.status, refused.value.param) == (403, "service_tier")


async def test_the_same_turn_again_is_counted_once(limited: Limited, make_turn: MakeTurn) -> None:
    async with limited("in_flight=1 requests_per_minute=1") as front:
        turn = make_turn(key="once")
        await handed_in(front, turn)
        await handed_in(front, turn)
        await handed_in(front, make_turn(key="once"))
