"""Conversations with an id: whose they are, how long they are kept, and who may go on with them."""

import asyncio
import dataclasses

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.conversations import Conversation
from turnstream.turns.errors import (
    ConversationLocked,
    ConversationNotFound,
    NewerVersion,
    PreviousResponseNotFound,
    ResponseNotFound,
)
from turnstream.turns.ids import new_conversation_id
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.record import VERSION, ConversationRecord, TurnRecord
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Turn

HOUR = 3600


@pytest.fixture
async def conversation(turn_client: TurnClient) -> str:
    """A conversation of ann's, with one message."""
    made = Conversation(id=new_conversation_id(), created_at=1_800_000_000, metadata={})
    await turn_client.conversations.create(made, "ann", [Message("user", "Zero")])
    return made.id


def turn_of(conversation: str, turn: Turn) -> Turn:
    return dataclasses.replace(turn, conversation=conversation)


async def said(turn_client: TurnClient, conversation: str) -> list[str]:
    turns = await turn_client.conversations.turns(conversation, "ann")
    items = await turn_client.conversations.items(turns[::-1], "ann")
    return [message.text for turn in items for _, message in turn.asked]


async def test_a_foreign_conversation_is_not_found_by_anybody_else(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str
) -> None:
    known = turn_client.conversations
    foreign = [
        known.get(conversation, "bob"),
        known.turns(conversation, "bob"),
        known.add(conversation, "bob", [Message("user", "One")]),
        known.update(conversation, "bob", {"a": "b"}),
        known.remove(conversation, "bob", "resp_x", "0", "msg_x_0"),
        known.delete(conversation, "bob"),
        submitted(turn_client, turn_of(conversation, make_turn(owner="bob"))),
    ]

    for request in foreign:
        with pytest.raises(ConversationNotFound) as refused:
            await request
        assert refused.value.message == f"Conversation with id '{conversation}' not found."
    assert (await known.get(conversation, "ann")).metadata == {}
    assert await said(turn_client, conversation) == ["Zero"]


async def test_of_turns_that_are_submitted_at_once_by_two_nodes_one_is_accepted(
    turn_client: TurnClient,
    settings: TurnSettings,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    conversation: str,
) -> None:
    async def submit(client: TurnClient) -> Turn | None:
        try:
            return await submitted(client, turn_of(conversation, make_turn()))
        except ConversationLocked:
            return None

    async with open_client(settings, "node-2") as other:
        for expected in range(1, 4):
            racing = [submit(client) for client in (turn_client, other) for _ in range(10)]
            accepted = [turn for turn in await asyncio.gather(*racing) if turn is not None]
            assert len(accepted) == 1
            claimed = queue.claim(1)
            assert claimed is not None
            assert claimed.id == accepted[0].id
            log.append([ending(claimed.id, first=claimed.seq + 1)])
            assert await said(turn_client, conversation) == ["Zero", *expected * ["Hello"]]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_turn_that_a_sweep_ends_unlocks_its_conversation(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    conversation: str,
    redis: Redis,
    waits: bool,
) -> None:
    turn = await submitted(turn_client, turn_of(conversation, make_turn()))
    if not waits:
        assert queue.claim(1)
    await redis.zadd(keys.deadlines(), {turn.id: 1})
    queue.sweep()
    await submitted(turn_client, turn_of(conversation, make_turn("Again")))
    claimed = queue.claim(1)

    assert claimed is not None
    assert [message.text for message in claimed.messages if message.text] == ["Zero", "Again"]


async def test_a_turn_whose_worker_was_lost_keeps_its_conversation_and_its_prompt(
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    conversation: str,
    redis: Redis,
) -> None:
    turn = await submitted(turn_client, turn_of(conversation, make_turn()))
    first = queue.claim(1)
    await redis.zadd(keys.leases(), {turn.id: 1})
    queue.sweep()
    with pytest.raises(ConversationLocked):
        await submitted(turn_client, turn_of(conversation, make_turn()))
    second = queue.claim(1)
    assert first is not None
    assert second is not None
    log.append([ending(turn.id, attempt=2, first=second.seq + 1)])
    await submitted(turn_client, turn_of(conversation, make_turn()))

    assert (first.id, first.attempt, second.id, second.attempt) == (turn.id, 1, turn.id, 2)
    assert first.messages == second.messages


async def test_all_that_a_conversation_holds_lives_as_long_as_it_is_used(
    turn_client: TurnClient,
    settings: TurnSettings,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    conversation: str,
    redis: Redis,
) -> None:
    unstored = await submitted(turn_client, turn_of(conversation, make_turn(store=False)))
    claimed = queue.claim(1)
    assert claimed is not None
    log.append([ending(unstored.id, first=claimed.seq + 1)])
    turns = await turn_client.conversations.turns(conversation, "ann")
    held = [keys.conversation(conversation), *map(keys.turn, turns)]
    assert len(held) == 3

    async def use_by_turn() -> None:
        await submitted(turn_client, turn_of(conversation, make_turn()))

    async def use_by_reading() -> None:
        await said(turn_client, conversation)

    for use in (use_by_reading, use_by_turn):
        for key in held:
            await redis.expire(key, HOUR)
            # It was kept alive long ago.
            await redis.hdel(key, "held")  # type: ignore[misc]
        await use()
        for key in held:
            left = await redis.ttl(key) - settings.store_seconds
            assert -60 < left <= settings.unstored_seconds // 8
    await redis.expire(keys.conversation(conversation), HOUR)
    claimed = queue.claim(1)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])
    assert await redis.ttl(keys.conversation(conversation)) > HOUR


async def test_records_have_only_fields_that_are_listed(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str, redis: Redis
) -> None:
    await submitted(turn_client, turn_of(conversation, make_turn()))
    listed: list[tuple[bytes, type]] = [
        (key, TurnRecord) for key in await redis.keys(keys.turn("*"))
    ]
    listed.append((keys.conversation(conversation).encode(), ConversationRecord))

    assert len(listed) == 3
    for key, kind in listed:
        record = await redis.hgetall(key)  # type: ignore[misc]
        assert {name.decode() for name in record} <= set(kind.__annotations__)
        assert record[b"version"] == str(VERSION).encode()


async def test_a_conversation_of_a_newer_release_is_left_alone(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str, redis: Redis
) -> None:
    await redis.hset(keys.conversation(conversation), "version", VERSION + 1)  # type: ignore[misc]
    before = await redis.hgetall(keys.conversation(conversation))  # type: ignore[misc]
    known = turn_client.conversations
    requests = [
        known.get(conversation, "ann"),
        known.add(conversation, "ann", [Message("user", "One")]),
        known.update(conversation, "ann", {}),
        known.delete(conversation, "ann"),
        submitted(turn_client, turn_of(conversation, make_turn())),
    ]

    for request in requests:
        with pytest.raises(NewerVersion):
            await request
    assert await redis.hgetall(keys.conversation(conversation)) == before  # type: ignore[misc]


async def test_a_message_that_was_added_by_hand_is_no_response(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str
) -> None:
    [message] = await turn_client.conversations.turns(conversation, "ann")
    stored = turn_client.stored

    for request in (
        stored.response(message, "ann"),
        stored.input_of(message, "ann"),
        stored.answer(message, "ann"),
        stored.delete(message, "ann"),
    ):
        with pytest.raises(ResponseNotFound):
            await request
    with pytest.raises(PreviousResponseNotFound):
        await submitted(turn_client, make_turn(previous_response_id=message))
    assert await said(turn_client, conversation) == ["Zero"]
