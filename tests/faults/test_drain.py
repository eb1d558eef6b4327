"""A worker that stops requeues each turn it could not end, also one with unwritten tokens."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import tiny_llama
from harness.turn import GREEDY, new_turn
from turnstream.turns import keys
from turnstream.turns.client import open_client
from turnstream.turns.connection import connect
from turnstream.turns.settings import TurnSettings
from turnstream.workers.publisher import Publisher
from turnstream.workers.settings import WorkerSettings
from turnstream.workers.worker import Worker

PATIENCE_SECONDS = 20.0


@pytest.fixture
def worker(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker of a tiny model that can write nothing and has no grace period."""

    def write_nothing(self: Publisher, parts: list[Any]) -> None:
        self._stopping.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(Publisher, "_write", write_nothing)
    model = tiny_llama.make(tmp_path / "tiny")
    environ = {
        "TURNSTREAM_REDIS_URL": redis_url,
        "TURNSTREAM_MODEL": str(model),
        "TURNSTREAM_WORKER_INDEX": "0",
        "TURNSTREAM_PROMPT": "llama-2-chat",
        "TURNSTREAM_DEVICE": "cpu",
        "TURNSTREAM_DRAIN_SECONDS": "0",
    }
    worker = Worker(WorkerSettings.read(environ))
    yield worker
    # A worker that a failed test leaves running would claim the turns of other tests.
    worker.stop()


async def test_a_finished_answer_that_is_not_written_is_requeued_at_once(
    redis_url: str, worker: Worker
) -> None:
    settings = TurnSettings(redis_url=redis_url)
    sampling = replace(GREEDY, max_tokens=4)
    turn = new_turn(model=worker.model, instructions="", sampling=sampling)
    with connect(redis_url) as client:
        client.flushall()
        async with open_client(settings, "node-1") as front, front.submit(turn):
            worker.start()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not any(attempt.slot_free for attempt in worker._active.attempts()):
                assert time.monotonic() < deadline, "the engine never ended"
                time.sleep(0.01)
            worker.stop()

        assert client.hget(keys.turn(turn.id), "requeues") == b"1"
        assert client.zcard(keys.queue(worker.model, "default")) == 1
        assert client.zscore(keys.leases(), turn.id) is None


async def test_nobody_counts_on_a_worker_that_finishes_its_turns(
    redis_url: str, worker: Worker
) -> None:
    worker._settings = replace(worker._settings, drain_seconds=2)
    settings = TurnSettings(redis_url=redis_url)
    turn = new_turn(model=worker.model, instructions="", sampling=GREEDY)
    with connect(redis_url) as client:
        client.flushall()
        async with open_client(settings, "node-1") as front, front.submit(turn):
            worker.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not worker._active.attempts():
                    await asyncio.sleep(0.01)
            before = await front.models.is_served(worker.model)
            stopping = asyncio.create_task(asyncio.to_thread(worker.stop))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await front.models.is_served(worker.model):
                    await asyncio.sleep(0.01)
            draining = client.hkeys(keys.draining(worker.model))
            alive = client.zcard(keys.heartbeats(worker.model))
            await stopping

        assert before
        assert (draining, alive) == ([b"w0"], 1)
        assert client.hkeys(keys.draining(worker.model)) == []


def test_a_worker_that_stops_its_engine_does_not_report_a_dead_engine(
    redis_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits: list[int] = []
    monkeypatch.setattr("turnstream.workers.worker.os._exit", exits.append)
    # The heartbeat checks the engine often, and during the whole stop.
    monkeypatch.setattr("turnstream.workers.heartbeat.HEARTBEAT_SECONDS", 0.001)
    worker.start()

    worker.stop()
    worker._check_engine()

    assert exits == []
