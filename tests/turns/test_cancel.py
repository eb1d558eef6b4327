"""Cancel a turn that waits, runs or has ended."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.commands import Cancel, commands
from turnstream.turns.connection import connect
from turnstream.turns.errors import BadRequest, PreviousResponseNotFound, ResponseNotFound
from turnstream.turns.log import Log
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings


async def test_a_waiting_turn_ends_at_once_and_is_never_claimed(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = make_turn()
    async with turn_client.submit(turn) as follower:
        await turn_client.cancel(turn.id, "ann")
        async with asyncio.timeout(30):
            events = [event async for batch in follower.batches() for event in batch]

    last = json.loads(events[-1])
    assert (last["type"], last["sequence_number"]) == ("response.incomplete", 2)
    assert last["response"]["status"] == "cancelled"
    assert queue.claim(1) is None


async def test_the_turn_behind_a_cancelled_one_moves_up_at_once(
    turn_client: TurnClient, make_turn: MakeTurn
) -> None:
    first, second, third = [await submitted(turn_client, make_turn()) for _ in range(3)]

    await turn_client.cancel(first.id, "ann")

    places = [
        json.loads(await turn_client.stored.response(turn.id, "ann"))["queue"]
        for turn in (second, third)
    ]
    assert [(place["position"], place["size"]) for place in places] == [(1, 2), (2, 2)]


async def test_a_cancelled_tag_is_reused_by_its_owner(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    for _ in range(5):
        turn = await submitted(turn_client, make_turn("never", owner="ann"))
        await turn_client.cancel(turn.id, "ann")
    for text in ("b1", "b2"):
        await submitted(turn_client, make_turn(text, owner="bob"))
    await submitted(turn_client, make_turn("a1", owner="ann"))

    texts = [claimed.messages[0].text for _ in range(3) if (claimed := queue.claim(1))]

    assert texts == ["b1", "a1", "b2"]


async def test_the_next_heartbeat_reports_a_cancelled_running_turn(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)

    await turn_client.cancel(turn.id, "ann")

    assert queue.heartbeat([(turn.id, 1)], {}, slots=4) == [LeaseStatus.CANCEL]


async def test_a_running_turns_worker_receives_the_cancel_at_once(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)
    client = connect(settings.redis_url)
    received = commands(client, model=MODEL, worker="w0")
    waiting = asyncio.create_task(asyncio.to_thread(next, received))
    async with asyncio.timeout(30):
        channel = keys.worker_channel(MODEL, "w0")
        while (await turn_client._redis.pubsub_numsub(channel))[0][1] == 0:
            await asyncio.sleep(0.01)  # until the worker listens
        await turn_client.cancel(turn.id, "ann")
        while (order := await waiting) is None:
            waiting = asyncio.create_task(asyncio.to_thread(next, received))

    assert order == Cancel(turn.id)
    received.close()
    client.close()


async def test_an_ended_turn_cannot_be_cancelled(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)
    log.append([ending(turn.id, first=3)])

    with pytest.raises(BadRequest) as refused:
        await turn_client.cancel(turn.id, "ann")

    assert refused.value.code == "response_not_active"


async def test_a_running_turn_cannot_be_deleted_and_an_ended_one_can(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    with pytest.raises(BadRequest, match="cancel it first"):
        await turn_client.stored.delete(turn.id, "ann")
    queue.claim(1)
    log.append([ending(turn.id, first=3)])
    with pytest.raises(ResponseNotFound):
        await turn_client.stored.delete(turn.id, "bob")

    await turn_client.stored.delete(turn.id, "ann")

    assert not await redis.exists(keys.turn(turn.id), keys.log(turn.id))
    with pytest.raises(PreviousResponseNotFound):
        await submitted(turn_client, make_turn(previous_response_id=turn.id))


async def test_a_cancelled_turn_that_waits_for_another_attempt_stays_queued(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)
    await redis.zadd(keys.leases(), {turn.id: 1})
    queue.sweep()

    await turn_client.cancel(turn.id, "ann")

    taken = queue.claim(1)
    assert taken is not None
    assert taken.attempt == 2
    assert queue.heartbeat([(turn.id, 2)], {}, slots=4) == [LeaseStatus.CANCEL]
    assert await redis.zcard(keys.queue(MODEL, "default")) == 0
