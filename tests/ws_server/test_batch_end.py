"""A batch that is not answered to its last line says why, and keeps what was answered."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from tests.ws_server.batch_harness import OWNER, BatchHarness, line_of, once_each, over, taken
from turnstream.turns import keys
from turnstream.turns.batch import Status, line_turn_id
from turnstream.turns.connection import connect
from turnstream.turns.queue import TurnQueue
from turnstream.turns.tasks import end
from turnstream.ws_server.batches import window


async def test_a_line_that_ends_its_workers_becomes_an_error_line(
    harness: BatchHarness,
) -> None:
    batch = await harness.batch([line_of(1), line_of(2)])
    client = connect(harness.settings.redis_url)
    poisoned = TurnQueue(client, harness.settings, model="tiny", worker="w1")
    running = asyncio.create_task(harness.runner(await taken(harness)).run())
    poison = line_turn_id(batch.id, 1)
    losses = 0
    async with asyncio.timeout(20):
        while losses < harness.settings.max_attempts:
            claimed = poisoned.claim(1)
            if claimed is None:
                await asyncio.sleep(0.01)
            elif claimed.id == poison:
                losses += 1
                await harness.client.zadd(keys.leases(), {poison: 0})
                poisoned.sweep()
            else:
                poisoned.requeue([(claimed.id, claimed.attempt)])
                await harness.client.zadd(
                    keys.queue("tiny", "batch"), {f"{'9' * 14}:{claimed.id}": 1e9}
                )
        while harness.answer_one() is False:
            await asyncio.sleep(0.01)
        await running
    client.close()
    now, good, [bad] = await harness.results(batch)

    assert (now.completed, now.failed) == (1, 1)
    assert [result["custom_id"] for result in good] == ["c2"]
    assert bad["custom_id"] == "c1"
    assert bad["response"]["status_code"] == 500
    assert "3 attempts" in bad["response"]["body"]["error"]["message"]


async def test_lines_that_are_not_answered_in_time_are_expired_and_the_rest_kept(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0
    clock = SimpleNamespace(time=lambda: time.time() + ahead, monotonic=time.monotonic)
    monkeypatch.setattr("turnstream.ws_server.batches.runner.time", clock)
    lines = [line_of(n) for n in range(9)]
    batch = await harness.batch(lines)
    running = asyncio.create_task(harness.runner(await taken(harness)).run())
    async with asyncio.timeout(20):
        for _ in range(2):
            while not harness.answer_one():
                await asyncio.sleep(0.01)
        ahead = 3600
        await running
    now, good, bad = await harness.results(batch)

    assert now.status is Status.EXPIRED
    assert {"finalizing_at", "expired_at"} <= set(now.moments)
    assert (now.completed, now.failed) == (2, 7)
    assert {result["error"]["code"] for result in bad} == {"batch_expired"}
    assert once_each(lines, good, bad)


async def test_a_cancellation_is_carried_out_by_the_next_runner_too(harness: BatchHarness) -> None:
    lines = [line_of(n) for n in range(9)]
    batch = await harness.batch(lines)
    first = asyncio.create_task(harness.runner(await taken(harness)).run())
    async with asyncio.timeout(20):
        while not harness.answer_one():
            await asyncio.sleep(0.01)
    await end([first])
    await harness.store.cancel(batch.id, OWNER)
    await harness.runner(await taken(harness)).run()
    now, good, bad = await harness.results(batch)

    assert now.status is Status.CANCELLED
    assert len(good) == 1
    assert {result["error"]["code"] for result in bad} == {"batch_cancelled"}
    assert once_each(lines, good, bad)


async def test_a_cancelled_turn_that_does_not_end_is_given_up(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "GIVE_UP_SECONDS", 0.2)
    batch = await harness.batch([line_of(1)])
    running = asyncio.create_task(harness.runner(await taken(harness)).run())
    async with asyncio.timeout(20):
        while harness.queue.claim(1) is None:
            await asyncio.sleep(0.01)
        await harness.store.cancel(batch.id, OWNER)
        await running
    now, _, [bad] = await harness.results(batch)

    assert now.status is Status.CANCELLED
    assert bad["error"]["code"] == "batch_cancelled"
    assert await harness.client.zcard(keys.leases()) == 0


async def test_a_batch_whose_file_was_deleted_fails_and_says_so(harness: BatchHarness) -> None:
    batch = await harness.batch([line_of(1)])
    await harness.blobs.delete(f"files/{batch.plan.input_file_id}")

    await harness.runner(await taken(harness)).run()

    now = await over(harness, batch)
    assert now.status is Status.FAILED
    assert now.problems is not None
    assert [problem.code for problem in now.problems] == ["input_file_not_found"]
