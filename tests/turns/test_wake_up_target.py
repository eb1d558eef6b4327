"""Which worker is woken up when a turn is submitted, and what the wake-up contains."""

import asyncio
import json

from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.commands import WakeUp, commands
from turnstream.turns.connection import connect
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings


async def test_a_worker_without_memory_for_more_turns_is_not_woken_up(
    turn_client: TurnClient, make_queue: object, make_turn: MakeTurn, redis: Redis
) -> None:
    for worker, slots in (("w0", 1), ("w1", 3)):
        queue = make_queue(worker)  # type: ignore[operator]
        queue.heartbeat([], {}, slots=4)
        queue.claim(slots)
    queue.note_full()

    await submitted(turn_client, make_turn())

    rung = [await redis.llen(f"turns.{MODEL}.{worker}") for worker in ("w0", "w1")]
    assert rung == [1, 0]


async def test_the_worker_with_most_free_slots_is_woken_up(
    turn_client: TurnClient, make_queue: object, make_turn: MakeTurn, redis: Redis
) -> None:
    for worker, slots in (("w0", 1), ("w1", 3)):
        queue = make_queue(worker)  # type: ignore[operator]
        queue.heartbeat([], {}, slots=4)
        queue.claim(slots)

    turns = [await submitted(turn_client, make_turn()) for _ in range(4)]

    wake_ups = {w: await redis.lrange(f"turns.{MODEL}.{w}", 0, -1) for w in ("w0", "w1")}
    assert {worker: len(rung) for worker, rung in wake_ups.items()} == {"w0": 1, "w1": 3}
    assert json.loads(wake_ups["w1"][-1])["headers"]["argsrepr"] == f"('{turns[0].id}',)"


async def test_no_wake_up_is_sent_when_no_slot_is_free(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.heartbeat([], {}, slots=4)
    queue.claim(1)

    await submitted(turn_client, make_turn())
    await submitted(turn_client, make_turn())

    assert await redis.llen(f"turns.{MODEL}.w0") == 1


async def test_a_wake_up_never_contains_text_of_a_message(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.heartbeat([], {}, slots=4)
    queue.claim(1)

    await submitted(turn_client, make_turn("a secret"))

    [wake_up] = await redis.lrange(f"turns.{MODEL}.w0", 0, -1)
    assert b"secret" not in wake_up


async def test_the_chosen_workers_channel_brings_the_wake_up_too(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, settings: TurnSettings
) -> None:
    queue.heartbeat([], {}, slots=4)
    queue.claim(1)
    listener = connect(settings.redis_url)
    received = commands(listener, model=MODEL, worker="w0")
    waiting = asyncio.create_task(asyncio.to_thread(next, received))
    async with asyncio.timeout(30):
        channel = keys.worker_channel(MODEL, "w0")
        while (await turn_client._redis.pubsub_numsub(channel))[0][1] == 0:
            await asyncio.sleep(0.01)  # until the worker listens
        await submitted(turn_client, make_turn())
        while (command := await waiting) is None:
            waiting = asyncio.create_task(asyncio.to_thread(next, received))

    assert command == WakeUp()
    received.close()
    listener.close()
