"""An error that nobody expected ends the one request that met it, and nothing else."""

import asyncio
import json
import logging
from typing import Any, cast

import pytest

from tests.ws_server.batch_harness import OWNER, BatchHarness, line_of, taken
from turnstream.turns import keys
from turnstream.turns.batch import Batch, Status
from turnstream.turns.turn import Turn
from turnstream.ws_server import frames
from turnstream.ws_server.batches import line_source
from turnstream.ws_server.batches.runner import BatchRunner
from turnstream.ws_server.batches.runner_pool import MOST_FAILURES, RunnerPool
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.frames import Refusal, read_frame
from turnstream.ws_server.lane import Lane, Unanswered
from turnstream.ws_server.references import CountBytes
from turnstream.ws_server.unexpected import Unexpected


class FailingConnection:
    """A socket whose requests fail before they become turns."""

    owner = "ann"
    turn_client: Any = None

    def __init__(self) -> None:
        self.in_flight = asyncio.Semaphore(1)
        self.unanswered = Unanswered(1_000_000, ByteRoom(10**9, "All").begin("ann"))
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, text: str) -> None:
        self.sent.put_nowait(json.loads(text))

    async def check_response(self, id: str) -> None: ...

    async def refresh(self, token: str) -> None: ...

    async def turn(self, create: Create, count: CountBytes) -> Turn:
        raise ZeroDivisionError(create.instructions)


def test_a_frame_that_breaks_its_reader_is_refused_with_one_log_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(body: object) -> None:
        raise ZeroDivisionError(body)

    monkeypatch.setattr(frames, "_request", broken)
    caplog.set_level(logging.INFO)

    frame = read_frame('{"type": "response.create", "stream_id": "a", "input": "my secret"}')

    assert isinstance(frame.request, Refusal)
    assert (frame.stream_id, frame.request.error.code) == ("a", "server_error")
    [record] = caplog.records
    assert "ZeroDivisionError" in record.getMessage()
    assert "secret" not in record.getMessage()
    assert record.getMessage().split(":")[0] in frame.request.error.message


async def test_a_lane_goes_on_after_a_request_that_failed() -> None:
    connection = FailingConnection()
    lane = Lane(connection, "a")
    running = asyncio.create_task(lane.run())
    for _ in range(2):
        lane.put(read_create({"input": "Hi"}))
    async with asyncio.timeout(30):
        errors = [await connection.sent.get() for _ in range(2)]
    running.cancel()

    assert [(each["stream_id"], each["error"]["code"]) for each in errors] == [
        ("a", "server_error"),
        ("a", "server_error"),
    ]


async def test_a_line_that_breaks_its_reader_is_that_lines_error(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = line_source.read_line

    async def broken(text: bytes | None, endpoint: str) -> tuple[str, Create]:
        if b'"c1"' in (text or b""):
            raise ZeroDivisionError
        return await reading(text, endpoint)

    monkeypatch.setattr(line_source, "read_line", broken)
    batch = await harness.batch([line_of(1), line_of(2)])
    running = asyncio.create_task(harness.runner(await taken(harness)).run())
    async with asyncio.timeout(20):
        while harness.answer_one() is False:
            await asyncio.sleep(0.01)
        await running
    now, good, [bad] = await harness.results(batch)

    assert now.status is Status.COMPLETED
    assert [result["custom_id"] for result in good] == ["c2"]
    assert bad["response"]["body"]["error"]["code"] == "server_error"


class FailingRunner:
    """A runner that fails, but can give its batch up."""

    def __init__(self, runner: BatchRunner) -> None:
        self.give_up = runner.give_up

    async def run(self) -> None:
        raise ZeroDivisionError


def running_tasks() -> set[str]:
    """Return the names of the tasks of this loop; a runner's task has its batch's id."""
    return {task.get_name() for task in asyncio.all_tasks()}


async def test_a_batch_whose_runners_fail_again_and_again_fails(harness: BatchHarness) -> None:
    batch = await harness.batch([line_of(1)])
    made: list[Batch] = []

    def make(batch: Batch) -> BatchRunner:
        made.append(batch)
        return cast(BatchRunner, FailingRunner(harness.runner(batch)))

    pool = RunnerPool(harness.store, make)
    running = asyncio.create_task(pool.run())
    async with asyncio.timeout(20):
        for runner in range(1, MOST_FAILURES + 1):
            while len(made) < runner or batch.id in running_tasks():
                await asyncio.sleep(0.01)
            # The lease of the failed runner expires; not that of one at work.
            await harness.client.zadd(keys.batch_leases(), {batch.id: 0}, xx=True)
            pool.wake()
    running.cancel()
    now = await harness.store.get(batch.id, OWNER)

    assert len(made) == MOST_FAILURES
    assert now.status is Status.FAILED
    assert now.problems[0].code == "server_error"


def test_an_unexpected_error_is_a_500() -> None:
    assert (Unexpected("x").status, Unexpected("x").code) == (500, "server_error")
