"""A wake-up is lost or delivered ten times, and each turn is answered once."""

import asyncio
from collections.abc import Callable

from redis import Redis

from harness.reader import Reader
from harness.record import assert_as_stored
from harness.service import Service
from tests.faults.conftest import QUESTION, Question, until_all_work
from turnstream.turns import keys
from turnstream.turns.wake_up import WakeUp

Undisturbed = Callable[[Question], str]


async def test_a_wake_up_delivered_ten_times_makes_one_answer(
    service: Service, redis: Redis, reader: Reader, undisturbed: Undisturbed
) -> None:
    await reader.read(until="queued", **QUESTION)
    for worker in ("w0", "w1"):
        queue = f"turns.demo.{worker}"
        wake_up = WakeUp().text(reader.id).replace("@queue@", queue)
        redis.lpush(queue, *[wake_up] * 10)
    await reader.read()
    async with asyncio.timeout(30):
        while redis.exists("turns.demo.w0", "turns.demo.w1"):
            await asyncio.sleep(0.01)

    assert reader.text == undisturbed(QUESTION)
    assert redis.hget(keys.turn(reader.id), "attempt") == "1"
    assert_as_stored(service, reader)


async def test_turns_are_answered_though_every_wake_up_is_lost(
    service: Service, redis: Redis, undisturbed: Undisturbed
) -> None:
    # A worker that has just started would claim without a wake-up.
    await until_all_work(service, redis)
    # No worker shows a free slot, so none is sent a wake-up; any that is sent is removed.
    readers = [Reader(service.url) for _ in range(6)]
    for reader in readers:
        redis.delete(keys.free_slots("demo"))
        await reader.read(until="queued", **QUESTION)
        redis.delete("turns.demo.w0", "turns.demo.w1")
    await asyncio.gather(*(reader.read() for reader in readers))

    for reader in readers:
        assert reader.text == undisturbed(QUESTION)
        assert redis.hget(keys.turn(reader.id), "attempt") == "1"
        assert_as_stored(service, reader)
