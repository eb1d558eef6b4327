"""A conversation's bounds, and that its early turns cost nothing once they can't fit."""

import dataclasses
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import ConversationTooLong, PreviousResponseNotFound
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Message, Turn


@pytest.fixture
async def small(settings: TurnSettings) -> AsyncIterator[TurnClient]:
    """A node whose conversations may have 400 bytes and 5 turns."""
    bounds = dataclasses.replace(settings, conversation_bytes=400, conversation_turns=5)
    async with open_client(bounds, "node-1") as turn_client:
        yield turn_client


async def warm(turn_client: TurnClient, turn: Turn) -> str:
    return (await submitted(turn_client, dataclasses.replace(turn, generate=False))).id


async def chain(turn_client: TurnClient, make_turn: MakeTurn, count: int, text: str = "x") -> str:
    """Make a conversation of warm-ups; return the last one's id."""
    last = None
    for number in range(count):
        last = await warm(turn_client, make_turn(f"{text} {number}", previous_response_id=last))
    assert last is not None
    return last


async def test_a_conversation_with_too_many_bytes_is_refused_and_nothing_is_stored(
    small: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    last = await chain(small, make_turn, 3, "x" * 100)
    stored = set(await redis.keys("ts:turn:*"))

    for text in ("y" * 80, "y" * 500):
        turn = make_turn(text, previous_response_id=last)
        for refused in (turn, dataclasses.replace(turn, generate=False)):
            with pytest.raises(ConversationTooLong, match="400 bytes") as caught:
                await submitted(small, refused)
    assert (caught.value.status, caught.value.code) == (400, "conversation_too_long")
    with pytest.raises(ConversationTooLong):
        await submitted(small, make_turn("y" * 500))

    assert set(await redis.keys("ts:turn:*")) == stored
    await submitted(small, make_turn("short", previous_response_id=last))


async def test_answers_count(
    small: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = await submitted(small, make_turn())
    queue.claim(1)
    log.append([ending(turn.id, first=3, text="a" * 380)])

    with pytest.raises(ConversationTooLong):
        await submitted(small, make_turn(previous_response_id=turn.id))


async def test_a_conversation_with_too_many_turns_is_refused(
    small: TurnClient, make_turn: MakeTurn
) -> None:
    last = await chain(small, make_turn, 5)

    with pytest.raises(ConversationTooLong, match="5 turns"):
        await submitted(small, make_turn(previous_response_id=last))


async def test_a_conversation_that_an_earlier_release_wrote_is_measured(
    small: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    last = await chain(small, make_turn, 4, "x" * 60)
    for key in await redis.keys("ts:turn:*"):
        await redis.hdel(key, "bytes", "depth", "held", "stored_until", "stored_bytes")  # type: ignore[misc]
    with pytest.raises(ConversationTooLong, match="bytes"):
        await submitted(small, make_turn("y" * 90, previous_response_id=last))
    await submitted(small, make_turn("y", previous_response_id=last))


async def claimed_after(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, last: str
) -> Claimed:
    await submitted(turn_client, make_turn("last", previous_response_id=last))
    claimed = queue.claim(1)
    assert claimed is not None
    return claimed


async def test_a_claim_reads_the_latest_turns_that_can_fit_and_all_system_messages(
    settings: TurnSettings, turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    kind = Message("system", "Be kind.")
    first = dataclasses.replace(make_turn(), input=(kind, Message("user", "x 0")))
    last = await warm(turn_client, first)
    for number in range(1, 40):
        last = await warm(turn_client, make_turn(f"x {number}", previous_response_id=last))
    queue._most_bytes = 100

    claimed = await claimed_after(turn_client, queue, make_turn, last)

    texts = [item.text for item in claimed.messages if isinstance(item, Message)]
    assert texts == ["Be kind.", *(f"x {number}" for number in range(34, 40)), "last"]
    assert claimed.messages[0] == kind
    assert claimed.cut


async def test_a_conversation_that_fits_is_read_whole(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    claimed = await claimed_after(
        turn_client, queue, make_turn, await chain(turn_client, make_turn, 40)
    )

    assert len(claimed.messages) == 41
    assert not claimed.cut
    assert claimed.broken_after == ""


async def test_a_long_conversation_costs_redis_no_more_commands_than_a_short_one(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async def commands() -> int:
        counted = await redis.info("commandstats")
        return sum(each["calls"] for each in counted.values())

    costs = []
    queue._most_bytes = 100
    for turns in (10, 300):
        last = await chain(turn_client, make_turn, turns)
        before = await commands()
        await claimed_after(turn_client, queue, make_turn, last)
        costs.append(await commands() - before)

    assert costs[1] < costs[0] + 20


async def test_that_an_earlier_turn_was_deleted_is_told_to_the_worker(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    first = await warm(turn_client, make_turn())
    last = first
    for _ in range(3):
        last = await warm(turn_client, make_turn(previous_response_id=last))
    await turn_client.stored.delete(first, "ann")

    claimed = await claimed_after(turn_client, queue, make_turn, last)

    assert claimed.broken_after == last


async def test_a_conversation_whose_beginning_has_expired_is_not_found(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    first = await warm(turn_client, make_turn())
    last = await warm(turn_client, make_turn(previous_response_id=first))
    await redis.delete(keys.turn(first))
    await redis.hdel(keys.turn(last), "held")  # type: ignore[misc]

    with pytest.raises(PreviousResponseNotFound):
        await submitted(turn_client, make_turn(previous_response_id=last))


async def test_each_use_of_a_conversation_keeps_its_first_turn_alive(
    settings: TurnSettings, turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    first = await warm(turn_client, make_turn())
    last = first
    for hold in range(4):
        # Time passes: what is counted in holds was so many holds ago.
        for key in await redis.keys("ts:turn:*"):
            if await redis.hexists(key, "held"):  # type: ignore[misc]
                await redis.hincrby(key, "held", -1)  # type: ignore[misc]
        await redis.expire(keys.turn(first), 3600)
        last = await warm(turn_client, make_turn(f"{hold}", previous_response_id=last))
        assert await redis.ttl(keys.turn(first)) > settings.store_seconds - 60
