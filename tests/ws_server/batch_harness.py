"""Runs a batch with a real Redis, a folder for its files and a worker driven by the test."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis as sync_redis
import redis.asyncio

from turnstream.turns import keys, response
from turnstream.turns.batch import Batch, Plan, Status
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.files import File, Files, new_file_id
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.limits import BatchLimits
from turnstream.ws_server.batches.runner import BatchRunner
from turnstream.ws_server.directory import Model
from turnstream.ws_server.grammar_check import GrammarCheck

MODEL, OWNER = "tiny", "ann"
LIMITS = BatchLimits(window=4, lines=1000, line_bytes=2**20, kept_seconds=60)
#: A batch that takes longer hangs.
TIMEOUT_SECONDS = 30.0


def own_database(redis_url: str) -> str:
    """Return the URL of a database in which no front end that tests share looks for batches."""
    return redis_url.removesuffix("/0") + "/1"


class Crash(BaseException):
    """The runner's process ends here."""


class OneModel:
    """Knows one model."""

    async def find(self, name: str | None) -> Model:
        return Model(name=MODEL)


class BatchHarness:
    """What a batch needs except its runner."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        worker: "sync_redis.Redis",
        settings: TurnSettings,
        folder: Path,
    ) -> None:
        self.client, self.settings = client, settings
        calls = RedisCalls(ProblemLog(settings.redis_url))
        self.files = Files(client, calls)
        self.store, self.blobs = (
            BatchStore(client, calls, settings, CurrentLimits(settings.limits)),
            Blobs(str(folder)),
        )
        self.queue = TurnQueue(worker, settings, model=MODEL, worker="w0")
        self._log = Log(worker, settings, worker="w0")
        #: How often each question was answered.
        self.asked: dict[str, int] = {}

    async def batch(self, lines: Sequence[dict[str, Any]]) -> Batch:
        """Create a batch of some lines, without a runner."""
        now = int(time.time())
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        file = File(
            id=new_file_id(),
            owner=OWNER,
            filename="in.jsonl",
            purpose="batch",
            bytes=len(content),
            created_at=now,
            expires_at=now + 3600,
        )
        await self.blobs.put(file.path, content)
        await self.files.add(file)
        plan = Plan(
            endpoint="/v1/responses",
            input_file_id=file.id,
            completion_window="1h",
            metadata=None,
            created_at=now,
            expires_at=now + 3600,
            output_seconds=60,
        )
        return await self.store.create(OWNER, plan, None)

    def runner(self, batch: Batch) -> BatchRunner:
        """Create a runner."""
        directory: Any = OneModel()
        return BatchRunner(
            batch, self.store, self.files, self.blobs, directory, GrammarCheck(), LIMITS
        )

    async def work(self) -> None:
        """Answer queued turns, three at a time and in any order, until cancelled."""
        order = random.Random(1)
        while True:
            claimed = [turn for _ in range(3) if (turn := self.queue.claim(1)) is not None]
            order.shuffle(claimed)
            # All of them: no other worker would answer what this one leaves.
            for turn in claimed:
                self._answer(turn)
            await asyncio.sleep(0.002)

    def answer_one(self) -> bool:
        """Answer the first queued turn, if there is one."""
        claimed = self.queue.claim(1)
        if claimed is not None:
            self._answer(claimed)
        return claimed is not None

    def _answer(self, claimed: Claimed) -> None:
        question = claimed.messages[-1].text
        self.asked[question] = self.asked.get(question, 0) + 1
        self._log.append([answered(claimed, f"to {question}")])

    async def results(
        self, batch: Batch
    ) -> tuple[Batch, list[dict[str, Any]], list[dict[str, Any]]]:
        """Return an ended batch, and its output and error lines."""
        now = await self.store.get(batch.id, batch.owner)
        return now, await self._read(now.output_file_id), await self._read(now.error_file_id)

    async def _read(self, id: str | None) -> list[dict[str, Any]]:
        if id is None:
            return []
        file = await self.files.get(id, OWNER)
        content = b"".join([chunk async for chunk in self.blobs.read(file.path)])
        assert len(content) == file.bytes
        return [json.loads(line) for line in content.splitlines()]


def line_of(number: int, **body: Any) -> dict[str, Any]:
    asked = {"input": f"question {number}"} | body
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/responses", "body": asked}


def answered(claimed: Claimed, text: str) -> Append:
    """Return a whole answer in one event."""
    finished = response.finished_response(
        claimed.response,
        output=(response.message_item(claimed.id, "completed", text),),
        incomplete_reason=None,
        input_tokens=3,
        cached_tokens=1,
        output_tokens=2,
        completed_at=1,
    )
    return Append(
        id=claimed.id,
        attempt=claimed.attempt,
        first=claimed.seq + 1,
        entries=(Entry('{"type":"response.completed"}', (1, 2)),),
        final=Final(status="completed", error="null", response=finished, text=text),
    )


async def over(harness: BatchHarness, batch: Batch) -> Batch:
    """Wait until a batch has ended."""
    ends = (Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (now := await harness.store.get(batch.id, batch.owner)).status not in ends:
            await asyncio.sleep(0.01)
    return now


async def taken(harness: BatchHarness) -> Batch:
    """Take the batch, as the next node does when a lease has run out."""
    for id in await harness.client.zrange(keys.batch_leases(), 0, -1):
        await harness.client.zadd(keys.batch_leases(), {id: 0})
    batch = await harness.store.take()
    assert batch is not None
    return batch


async def run(harness: BatchHarness) -> None:
    """Run the batch while a worker answers."""
    runner = harness.runner(await taken(harness))
    working = asyncio.create_task(harness.work())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await runner.run()
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def once_each(lines: list[Any], *results: list[Any]) -> bool:
    """Return whether each line has one result, and there is no other result."""
    found = Counter(result["custom_id"] for some in results for result in some)
    return found == Counter(line["custom_id"] for line in lines)
