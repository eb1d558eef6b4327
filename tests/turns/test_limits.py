"""Limits of owners, and the errors beyond them."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.environment import SettingError
from turnstream.turns.errors import RateLimited, TierNotAllowed
from turnstream.turns.limits import Limits, OwnerLimits, cost
from turnstream.turns.log import Log
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.queue import TurnQueue
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import BatchLine

#: Opens a node with limits.
Limited = Callable[[str], AbstractAsyncContextManager[TurnClient]]


def read(text: str) -> OwnerLimits:
    return OwnerLimits.read({"TURNSTREAM_LIMITS": text})


@pytest.fixture
def limited(settings: TurnSettings) -> Limited:
    @asynccontextmanager
    async def make(text: str) -> AsyncIterator[TurnClient]:
        async with open_client(
            dataclasses.replace(settings, limits=read(text)), "n"
        ) as turn_client:
            yield turn_client

    return make


async def refusal(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis, **turn: object
) -> RateLimited:
    """Submit a turn that is refused, and check that nothing is stored."""
    refused = make_turn(**turn)
    with pytest.raises(RateLimited) as caught:
        await submitted(turn_client, refused)
    assert not await redis.exists(keys.turn(refused.id))
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert caught.value.retry_seconds is not None
    return caught.value


def test_an_owners_own_limits_override_the_default() -> None:
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
    async with limited("in_flight=2") as turn_client:
        first = await submitted(turn_client, make_turn())
        await submitted(turn_client, make_turn())
        queue.claim(1)
        assert "in_flight=2" in (await refusal(turn_client, make_turn, redis)).message
        await submitted(turn_client, make_turn(owner="bob"))

        log.append([ending(first.id, first=3)])

        await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)


async def test_waiting_turns_are_limited_until_one_is_claimed_or_cancelled(
    limited: Limited, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("queued=2") as turn_client:
        await submitted(turn_client, make_turn())
        second = await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)
        queue.claim(1)
        third = await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)

        for turn in (second, third):
            await turn_client.cancel(turn.id, "ann")

        for _ in range(2):
            await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)


async def test_requests_per_minute_are_available_again_over_the_minute(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("requests_per_minute=4") as turn_client:
        for _ in range(4):
            await submitted(turn_client, make_turn())
        refused = await refusal(turn_client, make_turn, redis)
        assert 10 <= (refused.retry_seconds or 0) <= 15

        await redis.hincrby(keys.owner("ann"), "at", -30_000)

        for _ in range(2):
            await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)


async def test_tokens_per_minute_are_estimated_first_and_corrected_at_the_end(
    limited: Limited,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    turn = make_turn("x" * 40)
    assert cost(turn) == 10 + 8
    async with limited("tokens_per_minute=40") as turn_client:
        await submitted(turn_client, turn)
        other = await submitted(turn_client, make_turn("x" * 40))
        await refusal(turn_client, make_turn, redis, text="x" * 40)
        queue.claim(1)
        end = ending(turn.id, first=3)
        assert end.final is not None
        log.append([dataclasses.replace(end, final=dataclasses.replace(end.final, tokens=3))])
        await submitted(turn_client, make_turn("x" * 40))
        await refusal(turn_client, make_turn, redis, text="x" * 40)

        # A turn that never began has used no tokens.
        await turn_client.cancel(other.id, "ann")
        await submitted(turn_client, make_turn("x" * 40))
        await refusal(turn_client, make_turn, redis, text="x" * 40)


async def test_a_turn_beyond_the_tokens_per_minute_is_accepted_when_nothing_else_was_used(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("tokens_per_minute=10") as turn_client:
        await submitted(turn_client, make_turn("x" * 400))
        refused = await refusal(turn_client, make_turn, redis)

    assert (refused.retry_seconds or 0) > 600


async def test_a_batch_is_not_counted(limited: Limited, make_turn: MakeTurn, redis: Redis) -> None:
    text = "in_flight=1 queued=1 requests_per_minute=1 tokens_per_minute=20"
    async with limited(text) as turn_client:
        await redis.hset(keys.batch("j"), "epoch", 1)  # type: ignore[misc]
        for number in range(3):
            line = BatchLine(batch="j", epoch=1, number=number)
            await submitted(turn_client, dataclasses.replace(make_turn(tier="batch"), batch=line))
        await submitted(turn_client, make_turn())


async def test_an_interactive_turn_in_the_batch_tier_is_counted_and_released(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    async with limited("in_flight=1") as turn_client:
        turn = await submitted(turn_client, make_turn(tier="batch"))
        await refusal(turn_client, make_turn, redis, tier="batch")
        await turn_client.cancel(turn.id, turn.owner)
        await submitted(turn_client, make_turn(tier="batch"))


async def test_a_tier_that_an_owner_may_not_use_is_refused_with_its_name(
    limited: Limited, make_turn: MakeTurn
) -> None:
    async with limited("ann:tiers=default+flex") as turn_client:
        with pytest.raises(TierNotAllowed, match="'priority', only in default, flex") as refused:
            await submitted(turn_client, make_turn(tier="priority"))
        await submitted(turn_client, make_turn(tier="priority", owner="bob"))
        await submitted(turn_client, make_turn(tier="flex"))

    assert (refused.value.status, refused.value.param) == (403, "service_tier")


async def test_the_same_turn_again_is_counted_once(limited: Limited, make_turn: MakeTurn) -> None:
    async with limited("in_flight=1 requests_per_minute=1") as turn_client:
        turn = make_turn(key="once")
        await submitted(turn_client, turn)
        await submitted(turn_client, turn)
        await submitted(turn_client, make_turn(key="once"))


def test_a_limit_of_tokens_beyond_the_context_reserves_the_context(make_turn: MakeTurn) -> None:
    turn = make_turn()
    sampling = SamplingParams(max_tokens=2**63 - 1)
    request = dataclasses.replace(turn.request, sampling=sampling)
    turn = dataclasses.replace(turn, request=request, context=2048)

    assert cost(turn) == 2048


@pytest.mark.parametrize("limit", ["in_flight=2", "queued=2", "requests_per_minute=2"])
async def test_a_turn_is_refused_if_its_siblings_would_be(
    limited: Limited, make_turn: MakeTurn, redis: Redis, limit: str
) -> None:
    async with limited(limit) as turn_client:
        await refusal(turn_client, make_turn, redis, siblings=2)
        await submitted(turn_client, make_turn(siblings=1))
        await submitted(turn_client, make_turn())
        await refusal(turn_client, make_turn, redis)


def test_limits_set_at_run_time_go_before_those_of_the_settings_which_stay_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    configured = read("queued=3 ann:queued=5")
    one, other = CurrentLimits(configured), CurrentLimits(configured)
    one.set({"ann": "in_flight=9", "bob": "queued=1", "eve": "nonsense=1"})

    assert (one.of("ann").in_flight, one.of("ann").queued) == (9, 3)
    assert (one.of("bob").queued, one.of("eve").queued) == (1, 3)
    assert "the limits of eve are not used" in caplog.text
    assert [other.of(owner).queued for owner in ("ann", "bob")] == [5, 3]
    one.set({})
    assert [one.of(owner).queued for owner in ("ann", "bob")] == [5, 3]
