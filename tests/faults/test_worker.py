"""A worker dies, stops or drains, and its turns continue without a gap for their readers."""

import asyncio
import signal
from collections.abc import Callable

import psutil
import pytest
from redis import Redis

from harness.reader import Reader
from harness.record import assert_as_stored, fetch
from harness.service import Service
from tests.faults.conftest import LONG, QUESTION, Question, until_all_work, worker_names
from turnstream.turns import keys

Undisturbed = Callable[[Question], str]


def runs_at(redis: Redis, reader: Reader) -> str:
    return str(redis.hget(keys.turn(reader.id), "worker"))


def attempts(redis: Redis, reader: Reader) -> int:
    return int(redis.hget(keys.turn(reader.id), "attempt") or 0)


# Between the claim and the first token, and in the middle; `make test` has each moment with some
# fault, and a drain has a test of its own.
@pytest.mark.parametrize(
    ("moment", "fault"),
    [
        ("in_progress", signal.SIGSTOP),
        ("output_text.delta", signal.SIGKILL),
        ("output_text.delta", signal.SIGSTOP),
        pytest.param("output_text.delta", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("in_progress", signal.SIGKILL, marks=pytest.mark.long),
        pytest.param("in_progress", signal.SIGTERM, marks=pytest.mark.long),
    ],
)
async def test_a_turn_continues_at_another_worker_without_a_gap_for_its_reader(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    reader: Reader,
    undisturbed: Undisturbed,
    fault: signal.Signals,
    moment: str,
) -> None:
    expected = undisturbed(QUESTION)
    await reader.read(until=moment, **QUESTION)
    # A stopped worker resumes when the fixture ends: what it writes then must be refused.
    workers[runs_at(redis, reader)].send_signal(fault)
    await reader.read()

    assert reader.text == expected
    assert reader.resumes == 0
    assert_as_stored(service, reader)
    if fault is not signal.SIGTERM:  # it may have time to finish
        assert attempts(redis, reader) == 2


@pytest.mark.long
async def test_logprobs_are_whole_and_equal_when_another_worker_continues_the_turn(
    service: Service, redis: Redis, workers: dict[str, psutil.Process], reader: Reader
) -> None:
    asked = QUESTION | {"top_logprobs": 2, "max_output_tokens": 120}
    expected = fetch(service, "/v1/responses", asked)["output"][0]["content"][0]["logprobs"]
    await reader.read(until="output_text.delta", **asked)
    workers[runs_at(redis, reader)].send_signal(signal.SIGSTOP)
    await reader.read()

    assert attempts(redis, reader) == 2
    slices = [
        each
        for event in reader.events
        if event["type"] == "response.output_text.delta"
        for each in event["logprobs"]
    ]
    [done] = [event for event in reader.events if event["type"] == "response.output_text.done"]
    assert slices == done["logprobs"]
    assert reader.final["response"]["output"][0]["content"][0]["logprobs"] == slices
    assert bytes(byte for each in slices for byte in each["bytes"]).decode() == reader.text
    assert [each["token"] for each in slices] == [each["token"] for each in expected]
    for one, other in zip(slices, expected, strict=True):
        # The other worker computed what the log held in one step, which may round differently.
        assert one["logprob"] == pytest.approx(other["logprob"], abs=1e-3)
        assert [top["token"] for top in one["top_logprobs"]] == [
            top["token"] for top in other["top_logprobs"]
        ]


async def test_a_dead_engines_turns_are_requeued_and_its_process_restarts(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(LONG)
    readers = [Reader(service.url) for _ in range(3)]
    await asyncio.gather(*(reader.read(until="output_text.delta", **LONG) for reader in readers))
    struck = runs_at(redis, readers[0])
    (service.directory / struck).touch()
    await asyncio.gather(*(reader.read() for reader in readers))

    for reader in readers:
        assert reader.text == expected
        assert reader.resumes == 0
        assert_as_stored(service, reader)
    assert attempts(redis, readers[0]) == 2
    # The turn may have been the cause, so the attempt counts as lost, not as requeued.
    assert redis.hget(keys.turn(readers[0].id), "requeues") is None
    async with asyncio.timeout(30):
        await asyncio.to_thread(workers[struck].wait)
    assert "the engine died; the process ends with code" in service.logs
    await until_all_work(service, redis)
    assert worker_names(service)[struck].pid != workers[struck].pid


async def test_a_stale_workers_writes_are_refused(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(LONG)
    readers = [Reader(service.url) for _ in range(8)]
    struck = await busy_worker(redis, readers)
    workers[struck].send_signal(signal.SIGSTOP)
    await asyncio.gather(*(reader.read() for reader in readers))
    assert 2 in [attempts(redis, reader) for reader in readers]
    before = [log_of(redis, reader) for reader in readers]
    refused = refusals(service)
    workers[struck].send_signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while refusals(service) == refused:
            await asyncio.sleep(0.05)

    assert [log_of(redis, reader) for reader in readers] == before
    for reader in readers:
        assert reader.text == expected
        assert_as_stored(service, reader)


async def busy_worker(redis: Redis, readers: list[Reader]) -> str:
    """Submit all questions and return a worker that has just claimed one of them."""
    await asyncio.gather(*(reader.read(until="queued", **LONG) for reader in readers))
    await readers[-1].read(until="in_progress")
    return runs_at(redis, readers[-1])


def refusals(service: Service) -> int:
    """Return how often a worker's write or heartbeat was refused as stale."""
    return service.logs.count("append refused: stale") + service.logs.count("the lease is lost")


async def until_told(service: Service, reader: Reader, lost: int) -> None:
    """Wait until so many lost leases of a turn were logged.

    Only a worker that still runs the turn logs it. On a busy machine it may lose a lease, since its
    heartbeats are late; a worker that ended without requeueing the turn says nothing.
    """
    async with asyncio.timeout(30):
        while lost > sum(
            reader.id in line and ("append refused: stale" in line or "the lease is lost" in line)
            for line in service.logs.splitlines()
        ):
            await asyncio.sleep(0.05)


def log_of(redis: Redis, reader: Reader) -> object:
    return redis.xrange(keys.log(reader.id))


@pytest.mark.long
async def test_two_workers_killed_one_after_the_other_do_not_end_a_turn(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    reader: Reader,
    undisturbed: Undisturbed,
) -> None:
    await reader.read(until=10, **LONG)
    workers[runs_at(redis, reader)].kill()
    await reader.read(until=20)
    workers[runs_at(redis, reader)].kill()
    await reader.read()

    assert reader.text == undisturbed(LONG)
    assert attempts(redis, reader) == 3
    assert_as_stored(service, reader)


@pytest.mark.long
async def test_a_turn_submitted_while_no_worker_lives_waits_for_one(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    reader: Reader,
    undisturbed: Undisturbed,
) -> None:
    for process in workers.values():
        process.kill()
    await reader.answer(**LONG)

    assert reader.text == undisturbed(LONG)
    assert attempts(redis, reader) == 1
    assert_as_stored(service, reader)


async def test_workers_that_drain_under_load_requeue_all_their_turns(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(LONG)
    readers = [Reader(service.url) for _ in range(12)]
    workers[await busy_worker(redis, readers)].terminate()

    await asyncio.gather(*(reader.read() for reader in readers))
    assert {reader.text for reader in readers} == {expected}
    for reader in readers:
        assert reader.resumes == 0
        assert_as_stored(service, reader)
        record = redis.hgetall(keys.turn(reader.id))
        # Ended in the grace period or requeued: none waited for its lease to expire.
        lost = int(record["attempt"]) - 1 - int(record.get("requeues", 0))
        await until_told(service, reader, lost)


@pytest.mark.long
async def test_a_turn_that_kills_every_worker_fails_and_others_are_answered(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    reader: Reader,
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(QUESTION)
    for process in workers.values():
        process.send_signal(signal.SIGSTOP)
    await reader.read(until="queued", **QUESTION)
    # A record that no worker can read; only a fault of ours would write it.
    redis.hset(keys.turn(reader.id), "request", "[]")
    for process in workers.values():
        process.send_signal(signal.SIGCONT)
    await reader.read()

    assert reader.final["type"] == "response.failed"
    assert attempts(redis, reader) == 5
    other = Reader(service.url)
    assert await other.answer(**QUESTION) == expected
    assert_as_stored(service, other)
