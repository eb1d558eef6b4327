"""A batch ends with each line once in its output, wherever its runner is interrupted."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.ws_server.batch_harness import OWNER, BatchHarness, Crash, line_of, once_each, run, taken
from turnstream.turns import keys
from turnstream.turns.batch import Batch, Status
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.tasks import end
from turnstream.ws_server.batches import output
from turnstream.ws_server.batches.blobs import Blobs


async def test_each_line_is_answered_and_written_once(
    harness: BatchHarness,
) -> None:
    lines = [line_of(n) for n in range(20)]
    batch = await harness.batch(lines)

    await run(harness)
    now, good, bad = await harness.results(batch)

    assert now.status is Status.COMPLETED
    assert (now.total, now.completed, now.failed) == (20, 20, 0)
    assert (now.input_tokens, now.cached_tokens, now.output_tokens) == (60, 20, 40)
    assert bad == []
    assert once_each(lines, good)
    assert set(harness.asked.values()) == {1}
    left = {key.decode().split(":")[1] async for key in harness.client.scan_iter(match="ts:*")}
    assert left.isdisjoint({"turn", "log", "batch-ended", "batch-commits", "batch-parts"})


class CrashPoint:
    """Ends the runner's process at the nth call of one method of its stores."""

    def __init__(
        self, harness: BatchHarness, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
    ) -> None:
        self._left = 0
        self._after = after
        store, _, name = at.partition(".")
        target: Any = getattr(harness, store)
        self._real: Callable[..., Awaitable[Any]] = getattr(target, name)
        monkeypatch.setattr(target, name, self._through)

    def arm(self, nth: int) -> None:
        self._left = nth

    async def _through(self, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        answer = await self._real(*args, **kwargs)
        if self._left == 0:
            raise Crash
        return answer


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "at",
    [
        "store.advance",
        "store.submit_lines",
        "store.ended_ids",
        "store.ended_turns",
        "blobs.put",
        "store.commit",
        "store.parts",
        "blobs.write",
        "files.add",
        "store.end",
        "blobs.delete_folder",
    ],
)
async def test_a_batch_continues_wherever_its_runner_ends(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
) -> None:
    lines = [line_of(n) for n in range(23)]
    batch = await harness.batch(lines)
    crash_point = CrashPoint(harness, monkeypatch, at, after)

    for nth in (1, 2, 4):
        crash_point.arm(nth)
        if (await harness.store.get(batch.id, OWNER)).status is not Status.COMPLETED:
            with suppress(Crash, BaseExceptionGroup):
                await run(harness)
    crash_point.arm(0)
    if (await harness.store.get(batch.id, OWNER)).status is not Status.COMPLETED:
        await run(harness)
    now, good, bad = await harness.results(batch)

    assert now.status is Status.COMPLETED
    assert (now.completed, now.failed, now.output_tokens) == (23, 0, 46)
    assert bad == []
    assert once_each(lines, good)
    # Submitted twice it is the same turn: nothing is computed again.
    assert set(harness.asked.values()) == {1}


async def test_a_runner_that_lost_its_batch_adds_nothing(
    harness: BatchHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line_of(n) for n in range(9)]
    batch = await harness.batch(lines)
    asleep, joining, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()
    put, parts = Blobs.put, BatchStore.parts

    async def late_put(self: Blobs, path: str, content: bytes) -> None:
        if not asleep.is_set():
            asleep.set()
            await joining.wait()
        await put(self, path, content)

    async def late_parts(self: BatchStore, batch: Batch) -> list[str]:
        joining.set()
        await refused.wait()
        return await parts(self, batch)

    monkeypatch.setattr(Blobs, "put", late_put)
    monkeypatch.setattr(BatchStore, "parts", late_parts)
    monkeypatch.setattr(output, "MOST_LINES", 2)
    late = asyncio.create_task(run(harness))
    async with asyncio.timeout(20):
        await asleep.wait()
        # The next runner's parts have other lines, and it writes them all before the late one's.
        monkeypatch.setattr(output, "MOST_LINES", 5)
        next_one = asyncio.create_task(run(harness))
        with pytest.raises(BaseExceptionGroup):
            await late
        refused.set()
        await next_one
    now, good, _ = await harness.results(batch)

    assert (now.completed, now.epoch) == (9, 2)
    assert once_each(lines, good)


async def test_a_slow_line_delays_no_other_line_and_ends_last(
    harness: BatchHarness,
) -> None:
    lines = [line_of(n) for n in range(12)]
    batch = await harness.batch(lines)
    first = asyncio.create_task(harness.runner(await taken(harness)).run())
    async with asyncio.timeout(20):
        while (slow := harness.queue.claim(1)) is None:
            await asyncio.sleep(0.01)
        while (await harness.store.get(batch.id, OWNER)).completed < 11:
            harness.answer_one()
            await asyncio.sleep(0.01)
    await end([first])
    harness.queue.requeue([(slow.id, slow.attempt)])
    await run(harness)
    now, good, _ = await harness.results(batch)

    assert now.completed == 12
    assert once_each(lines, good)
    assert set(harness.asked.values()) == {1}


async def test_the_number_of_queued_or_running_lines_stays_within_the_window(
    harness: BatchHarness,
) -> None:
    await harness.batch([line_of(n) for n in range(50)])
    running = asyncio.create_task(harness.runner(await taken(harness)).run())
    most = 0
    async with asyncio.timeout(20):
        while not running.done():
            most = max(most, await harness.client.zcard(keys.queue("tiny", "batch")))
            if most >= 4:  # until then nothing is answered
                harness.answer_one()
            await asyncio.sleep(0)
    await running

    assert most == 4
