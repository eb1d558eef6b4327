"""Waiting turns: announced queue places, events and retention."""

import asyncio
import dataclasses
import json

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn


async def test_a_waiting_turn_is_kept_as_long_as_it_may_wait_even_with_a_short_retention(
    settings: TurnSettings, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    brief = dataclasses.replace(settings, store_seconds=60, log_seconds=1)
    async with open_client(brief, "node-2") as turn_client:
        turn = await submitted(turn_client, make_turn())

    assert await redis.ttl(keys.turn(turn.id)) >= settings.turn_seconds
    queue.claim(1)
    assert await redis.ttl(keys.log(turn.id)) >= settings.turn_seconds - 60


async def test_a_changed_position_is_announced(
    monkeypatch: pytest.MonkeyPatch,
    settings: TurnSettings,
    queue: TurnQueue,
    make_turn: MakeTurn,
    redis: Redis,
) -> None:
    monkeypatch.setattr("turnstream.turns.client.MAINTAIN_SECONDS", 0.02)
    async with open_client(settings, "node-1") as turn_client:
        await submitted(turn_client, make_turn())
        turn = make_turn(owner="bob")
        async with turn_client.submit(turn) as follower, asyncio.timeout(30):
            batches = follower.batches()
            assert json.loads((await anext(batches))[-1])["queue"]["position"] == 2
            queue.claim(1)
            while not (batch := await anext(batches)):
                pass  # no event for a while
            told = json.loads(batch[0])
            claimed = queue.claim(1)

    assert (told["type"], told["sequence_number"]) == ("response.queued", 2)
    assert told["queue"]["position"] == 1
    assert claimed is not None
    assert claimed.seq == 3


async def test_an_unchanged_position_is_not_announced(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    for _ in range(3):
        await turn_client._announce(ids=[turn.id], alive_ms=3000)
    assert await redis.hget(keys.turn(turn.id), "seq") == b"1"

    await redis.hincrby(keys.turn(turn.id), "announced_at", -15_000)
    await turn_client._announce(ids=[turn.id], alive_ms=3000)
    await turn_client._announce(ids=[turn.id], alive_ms=3000)

    assert await redis.hget(keys.turn(turn.id), "seq") == b"2"


async def test_a_waiting_turn_has_no_log_and_its_replay_and_later_log_equal_the_live_events(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    await submitted(turn_client, make_turn())
    turn = make_turn(owner="bob")
    async with turn_client.submit(turn) as live, asyncio.timeout(30):
        queue.claim(1)
        await redis.hincrby(keys.turn(turn.id), "announced_at", -15_000)
        await turn_client._announce(ids=[turn.id], alive_ms=3000)
        assert not await redis.exists(keys.log(turn.id))
        replayed = [await replay(turn_client, turn, after) for after in (-1, 0, 1, 2)]
        queue.claim(1)
        begun = await replay(turn_client, turn, -1)
        received: list[bytes] = []
        async for batch in live.batches():
            received += batch
            if len(received) == 4:
                break

    assert [len(events) for events in replayed] == [3, 2, 1, 0]
    assert received == begun
    assert received[:3] == replayed[0]
    positions = [json.loads(event)["queue"]["position"] for event in received[1:3]]
    assert positions == [2, 1]


async def replay(turn_client: TurnClient, turn: Turn, after: int) -> list[bytes]:
    async with turn_client.follow(turn.id, turn.owner, after=after) as follower:
        return list(follower._ready)


async def test_a_waiting_response_has_the_same_queue_place_as_its_events(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    await submitted(turn_client, make_turn())
    turn = make_turn(owner="bob")
    async with turn_client.submit(turn) as follower:
        queued = json.loads((await anext(follower.batches()))[1])
    seen = json.loads(await turn_client.stored.response(turn.id, "bob"))
    queue.claim(1)
    moved = json.loads(await turn_client.stored.response(turn.id, "bob"))
    queue.claim(1)

    assert seen["queue"] == queued["queue"] == queued["response"]["queue"]
    assert moved["queue"]["position"] == 1
    assert "queue" not in json.loads(await turn_client.stored.response(turn.id, "bob"))


async def test_a_reader_of_a_turn_that_lost_its_worker_gets_in_progress_again(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = make_turn()
    async with turn_client.submit(turn) as follower, asyncio.timeout(30):
        queue.claim(1)
        await turn_client._announce(ids=[turn.id], alive_ms=3000)
        queue.requeue([(turn.id, 1)])
        for _ in range(3):
            await turn_client._announce(ids=[turn.id], alive_ms=3000)
        again = queue.claim(1)
        assert again is not None
        log.append([ending(turn.id, attempt=2, first=again.seq + 1)])
        types = [json.loads(e).get("type") async for batch in follower.batches() for e in batch]

    assert types[2:4] == ["response.in_progress", "response.in_progress"]
    assert len(types) == 5
