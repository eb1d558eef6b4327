"""Redis pauses, dies, refuses writes or loses its data: a pause, or an error where data is lost."""

import asyncio
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from harness.reader import Reader, Refused
from harness.record import assert_as_stored
from harness.service import Service
from tests.effort import examples
from tests.faults.conftest import LONG, Question
from turnstream.turns import keys

Undisturbed = Callable[[Question], str]


@pytest.fixture
def store(service: Service, redis: Redis) -> Iterator[psutil.Process]:
    """Return the Redis process; resume it at the end."""
    process = service.child("redis")
    yield process
    if process.is_running():
        process.send_signal(signal.SIGCONT)


async def until_redis_answers(redis: Redis) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                redis.ping()
                return
            except RedisError:
                await asyncio.sleep(0.05)


async def begun(service: Service, count: int) -> list[Reader]:
    """Return readers in the middle of their answers."""
    readers = [Reader(service.url) for _ in range(count)]
    await asyncio.gather(*(reader.read(until="delta", **LONG) for reader in readers))
    return readers


async def test_slices_continue_when_the_nodes_subscription_is_killed(
    service: Service, redis: Redis, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(LONG)
    for _ in range(examples(2, 3)):
        [reader] = await begun(service, 1)
        assert redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        await reader.read()

        assert reader.text == expected
        assert reader.resumes == 0
        assert_as_stored(service, reader)


async def test_turns_continue_while_all_connections_are_killed_repeatedly(
    service: Service, redis: Redis, undisturbed: Undisturbed
) -> None:
    readers = await begun(service, 4)
    reading = asyncio.gather(*(reader.read() for reader in readers))
    while not reading.done():
        redis.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.05)
    await reading

    for reader in readers:
        assert reader.text == undisturbed(LONG)
        assert reader.resumes == 0
        assert_as_stored(service, reader)


@pytest.mark.parametrize("seconds", [3, pytest.param(12, marks=pytest.mark.long)])
async def test_a_paused_redis_loses_no_turn_and_a_turn_submitted_meanwhile_is_created_once(
    service: Service,
    redis: Redis,
    store: psutil.Process,
    undisturbed: Undisturbed,
    seconds: float,
) -> None:
    readers = await begun(service, 4)
    made = int(redis.get(keys.arrivals()) or 0)
    store.send_signal(signal.SIGSTOP)
    late = Reader(service.url)
    # All keep reading meanwhile: a client with unread frames receives no pong either.
    reading = asyncio.gather(late.answer(**LONG), *(reader.read() for reader in readers))
    await asyncio.sleep(seconds)
    store.send_signal(signal.SIGCONT)
    await reading

    assert late.refusals > 0
    assert int(redis.get(keys.arrivals()) or 0) == made + 1
    for reader in [*readers, late]:
        assert reader.text == undisturbed(LONG)
        assert_as_stored(service, reader)
    for reader in readers:
        assert reader.resumes == 0


async def test_a_redis_killed_and_restarted_from_its_file_loses_nothing(
    service: Service, redis: Redis, store: psutil.Process, undisturbed: Undisturbed
) -> None:
    readers = await begun(service, 4)
    store.kill()
    late = Reader(service.url)
    await asyncio.gather(late.answer(**LONG), *(reader.read() for reader in readers))
    await until_redis_answers(redis)

    for reader in [*readers, late]:
        assert reader.text == undisturbed(LONG)
        assert_as_stored(service, reader)


@pytest.mark.long
async def test_a_redis_that_refuses_writes_for_a_while_ends_no_turn(
    service: Service, redis: Redis, undisturbed: Undisturbed
) -> None:
    readers = await begun(service, 4)
    redis.config_set("min-replicas-to-write", 1)
    try:
        await asyncio.sleep(1.5)
        with pytest.raises(RedisError):
            redis.set("anything", 1)
    finally:
        redis.config_set("min-replicas-to-write", 0)
    await asyncio.gather(*(reader.read() for reader in readers))

    for reader in readers:
        assert reader.text == undisturbed(LONG)
        assert_as_stored(service, reader)


# A Redis that restarts empty closes its connections; after FLUSHALL no client notices.
@pytest.mark.parametrize("cut", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_when_redis_loses_all_data_each_reader_gets_an_error_and_the_next_turn_is_answered(
    service: Service, redis: Redis, undisturbed: Undisturbed, cut: bool
) -> None:
    expected = undisturbed(LONG)
    readers = await begun(service, 4)
    redis.flushall()
    if cut:
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    ends = await asyncio.gather(*(reader.read() for reader in readers), return_exceptions=True)

    # A reader whose last events were on the way has them; no other reader sees an end.
    for reader, end in zip(readers, ends, strict=True):
        if reader.ended:
            assert reader.text == expected
        else:
            assert isinstance(end, Refused)
            assert end.code in ("response_lost", "response_not_found")
    assert any(isinstance(end, Refused) for end in ends)
    again = Reader(service.url)
    assert await again.answer(**LONG) == expected
