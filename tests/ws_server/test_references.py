"""Answers that a request names by id are counted before they are put together."""

import dataclasses
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from harness.turn import new_turn
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.errors import ConversationTooLong, Overloaded
from turnstream.turns.ids import message_id
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.references import resolved
from turnstream.ws_server.unanswered import Unanswered

ANSWER = "x" * 9_500


@pytest.fixture
async def turn_client(redis_url: str, redis: "redis.asyncio.Redis") -> AsyncIterator[TurnClient]:
    settings = dataclasses.replace(TurnSettings(redis_url=redis_url), conversation_bytes=100_000)
    async with open_client(settings, "node-1") as turn_client:
        yield turn_client


@pytest.fixture
async def answer(redis_url: str, turn_client: TurnClient) -> str:
    """Return the id of a stored answer of 9,500 bytes."""
    turn = new_turn("Hello", model="tiny", owner="ann")
    async with turn_client.submit(turn):
        pass
    with connect(redis_url) as client:
        settings = TurnSettings(redis_url=redis_url)
        claimed = TurnQueue(client, settings, model="tiny", worker="w").claim(1)
        assert claimed is not None
        final = Final(status="completed", error="null", response='"id":"x"}', text=ANSWER)
        end = Append(
            id=turn.id,
            attempt=1,
            first=claimed.seq + 1,
            entries=(Entry('{"end":1}'),),
            final=final,
        )
        Log(client, settings, worker="w").append([end])
    return message_id(turn.id)


def naming(answer: str, times: int) -> Create:
    references = [{"type": "item_reference", "id": answer}] * times
    return read_create({"input": [*references, {"role": "user", "content": "And?"}]})


async def test_a_short_request_that_names_a_long_answer_too_often_is_refused(
    turn_client: TurnClient, answer: str, redis: "redis.asyncio.Redis"
) -> None:
    before = await redis.keys(keys.turn("*"))
    counted: list[int] = []

    with pytest.raises(ConversationTooLong, match="100000 bytes"):
        await resolved(naming(answer, 3_550), turn_client, "ann", counted.append)
    with pytest.raises(ConversationTooLong, match="100000 bytes"):
        await resolved(naming(answer, 11), turn_client, "ann")

    assert sum(counted) <= 100_000
    assert await redis.keys(keys.turn("*")) == before
    create = await resolved(naming(answer, 5), turn_client, "ann")
    assert create.messages[:5] == (Message("assistant", ANSWER),) * 5


async def test_named_answers_count_for_the_memory_of_their_socket(
    turn_client: TurnClient, answer: str
) -> None:
    unanswered = Unanswered(40_000, ByteRoom(10**9, "All").begin("ann"))
    unanswered.add(10_000)
    size = 1_000
    unanswered.add(size)

    def count(more: int) -> None:
        nonlocal size
        unanswered.grow(size, more)
        size += more

    await resolved(naming(answer, 3), turn_client, "ann", count)
    with pytest.raises(Overloaded, match="at most 40000"):
        await resolved(naming(answer, 1), turn_client, "ann", count)
