"""An attempt ends at moments that no signal hits for certain, and the next attempt continues.

The tests call a worker's objects directly, with the record and the log in a real Redis.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from harness.proxy import Proxy
from harness.turn import new_turn
from tests.workers.attempts import STOP, TOKENS, FakeHandle
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.log import Log, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Turn
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.attempt import Attempt
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.publisher import Publisher
from turnstream.workers.slicer import Slicer

MODEL = "tiny"
IDS = [3, 4, 5]

Event = dict[str, Any]


class WorkerParts:
    """A worker without an engine: it claims turns and writes the tokens that a test gives it."""

    def __init__(self, settings: TurnSettings, name: str) -> None:
        self.client = connect(settings.redis_url)
        self.queue = TurnQueue(self.client, settings, model=MODEL, worker=name)
        self.log = Log(self.client, settings, worker=name)

    def claim(self) -> Attempt:
        claimed = self.queue.claim(1)
        assert claimed is not None
        return begin(claimed)

    def write(self, attempt: Attempt) -> Verdict:
        part = attempt.take()
        assert part is not None
        return self.log.append([part])[0]

    def close(self) -> None:
        self.client.close()


def begin(claimed: Claimed) -> Attempt:
    attempt = Attempt(claimed, AnswerReader(Slicer(ByteTable.from_tokens(TOKENS, {0, 1, 2}))))
    attempt.start(FakeHandle())
    return attempt


@pytest.fixture
def settings(redis_url: str) -> TurnSettings:
    with connect(redis_url) as client:
        client.flushall()
    return TurnSettings(redis_url=redis_url)


@pytest.fixture
async def turn_client(settings: TurnSettings) -> AsyncIterator[TurnClient]:
    async with open_client(settings, "node-1") as turn_client:
        yield turn_client


@pytest.fixture
def workers(settings: TurnSettings) -> Iterator[tuple[WorkerParts, WorkerParts]]:
    both = WorkerParts(settings, "w0"), WorkerParts(settings, "w1")
    yield both
    for process in both:
        process.close()


@pytest.fixture
async def turn(turn_client: TurnClient) -> Turn:
    turn = new_turn(model=MODEL)
    async with turn_client.submit(turn):
        return turn


def lose(process: WorkerParts, turn: Turn) -> None:
    """Let the lease expire and the turn return to its queue."""
    process.client.zadd(keys.leases(), {turn.id: 1})
    assert process.queue.sweep() == [turn.id]


async def events_of(turn_client: TurnClient, turn: Turn) -> list[Event]:
    async with asyncio.timeout(30), turn_client.follow(turn.id, "ann", after=-1) as follower:
        return [json.loads(event) async for batch in follower.batches() for event in batch]


def assert_whole(events: list[Event], text: str) -> None:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [e["type"] for e in events].count("response.completed") == 1
    assert events[-1]["type"] == "response.completed"
    assert "".join(event.get("delta", "") for event in events) == text
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text


async def test_a_worker_lost_after_the_last_token_leaves_only_the_end_to_the_next_attempt(
    turn_client: TurnClient, workers: tuple[WorkerParts, WorkerParts], turn: Turn
) -> None:
    first, second = workers
    attempt = first.claim()
    attempt.on_step(IDS, None)
    assert first.write(attempt) is Verdict.OK
    lose(second, turn)

    next_attempt = second.claim()
    assert next_attempt.claimed.token_ids == tuple(IDS)
    next_attempt.on_step((), STOP)
    assert second.write(next_attempt) is Verdict.OK

    assert_whole(await events_of(turn_client, turn), "Hello there!")


async def test_a_worker_lost_before_its_first_token_leaves_the_whole_answer_to_the_next_attempt(
    turn_client: TurnClient, workers: tuple[WorkerParts, WorkerParts], turn: Turn
) -> None:
    first, second = workers
    first.claim()
    lose(second, turn)

    attempt = second.claim()
    assert attempt.claimed.attempt == 2
    attempt.on_step(IDS, STOP)
    assert second.write(attempt) is Verdict.OK

    assert_whole(await events_of(turn_client, turn), "Hello there!")


@pytest.mark.parametrize("when", ["put back", "claimed again", "ended"])
async def test_a_stale_attempt_can_write_neither_a_slice_nor_the_end_at_any_time(
    turn_client: TurnClient,
    workers: tuple[WorkerParts, WorkerParts],
    turn: Turn,
    when: str,
) -> None:
    first, second = workers
    stale = first.claim()
    stale.on_step(IDS[:1], None)
    first.write(stale)
    lose(second, turn)
    attempt = None
    if when != "put back":
        attempt = second.claim()
        attempt.on_step(IDS[1:], STOP if when == "ended" else None)
        second.write(attempt)

    stale.on_step([5, 5], None)
    assert first.write(stale) is Verdict.STALE
    stale.on_step((), Finish(FinishReason.LENGTH))
    assert first.write(stale) is Verdict.STALE

    if when == "put back":
        attempt = second.claim()
        attempt.on_step(IDS[1:], STOP)
        second.write(attempt)
    elif when == "claimed again":
        assert attempt is not None
        attempt.on_step((), STOP)
        second.write(attempt)
    assert_whole(await events_of(turn_client, turn), "Hello there!")


async def test_an_attempt_is_stale_when_its_own_worker_has_claimed_the_turn_again(
    turn_client: TurnClient, workers: tuple[WorkerParts, WorkerParts], turn: Turn
) -> None:
    worker, _ = workers
    old = worker.claim()
    lose(worker, turn)
    new = worker.claim()

    old.on_step([5, 5], STOP)
    assert worker.write(old) is Verdict.STALE

    new.on_step(IDS, STOP)
    assert worker.write(new) is Verdict.OK
    assert_whole(await events_of(turn_client, turn), "Hello there!")


async def test_a_worker_lost_within_a_character_shows_no_part_of_it(
    turn_client: TurnClient, workers: tuple[WorkerParts, WorkerParts], turn: Turn
) -> None:
    first, second = workers
    attempt = first.claim()
    attempt.on_step([3, 6, 7], None)
    first.write(attempt)
    lose(second, turn)

    again = second.claim()
    # The two bytes that were held back went with the worker, or came with the slice before them.
    rest = [6, 7, 8, 9][len(again.claimed.token_ids) - 1 :]
    again.on_step(rest, STOP)
    second.write(again)

    assert_whole(await events_of(turn_client, turn), "Hello😀")


async def test_a_write_whose_reply_is_lost_counts_as_written_by_its_attempt(
    turn_client: TurnClient,
    settings: TurnSettings,
    workers: tuple[WorkerParts, WorkerParts],
    turn: Turn,
) -> None:
    port = int(settings.redis_url.rpartition(":")[2].partition("/")[0])
    attempt = workers[0].claim()
    async with Proxy(port) as proxy:
        client = connect(settings.redis_url.replace(f":{port}/", f":{proxy.port}/"))
        # Connected, and the script is loaded, so that the next reply is that of the write.
        await asyncio.to_thread(client.ping)
        log = Log(client, settings, worker="w0")
        await asyncio.to_thread(log.append, [])
        active = ActiveTurns(1)
        active.add(attempt)
        publisher = Publisher(active, log)
        publisher.start()
        proxy.lost_replies = 1
        attempt.on_step(IDS[:1], None)
        publisher.wake()
        async with asyncio.timeout(30):
            while proxy.lost_replies:
                await asyncio.sleep(0.01)
        attempt.on_step(IDS[1:], STOP)
        async with asyncio.timeout(30):
            while active.attempts():
                publisher.wake()
                await asyncio.sleep(0.05)
        await asyncio.to_thread(publisher.stop)
        client.close()

    assert not attempt.dropped
    assert_whole(await events_of(turn_client, turn), "Hello there!")
