"""A batch comes to its end with each line once in its output, wherever its feeder is broken off."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio

from tests.ws_server.batch_room import OWNER, Crash, Room, line_of, once_each, run, taken
from turnstream.turns import keys
from turnstream.turns.batches import Batch, Status
from turnstream.turns.feed import Feed
from turnstream.turns.tasks import end
from turnstream.ws_server.batches import output
from turnstream.ws_server.batches.blobs import Blobs


async def test_each_line_is_answered_and_written_once(
    room: Room, redis: "redis.asyncio.Redis"
) -> None:
    lines = [line_of(n) for n in range(20)]
    batch = await room.batch(lines)

    await run(room)
    now, good, bad = await room.results(batch)

    assert now.status is Status.COMPLETED
    assert (now.total, now.completed, now.failed) == (20, 20, 0)
    assert (now.input_tokens, now.cached_tokens, now.output_tokens) == (60, 20, 40)
    assert bad == []
    assert once_each(lines, good)
    assert set(room.asked.values()) == {1}
    left = {key.decode().split(":")[1] async for key in redis.scan_iter(match="ts:*")}
    assert left.isdisjoint({"turn", "log", "batch-ended", "batch-marks", "batch-parts"})


class Doors:
    """A feeder's doors, one of which ends its process at the nth time somebody goes through."""

    def __init__(self, room: Room, monkeypatch: pytest.MonkeyPatch, at: str, after: bool) -> None:
        self._left = 0
        self._after = after
        door, _, name = at.partition(".")
        target: Any = {"feed": room.feed, "blobs": room.blobs, "files": room.files}[door]
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
        "feed.step",
        "feed.submit",
        "feed.ended",
        "feed.ends",
        "blobs.put",
        "feed.mark",
        "feed.parts",
        "blobs.write",
        "files.add",
        "feed.end",
        "blobs.delete_folder",
    ],
)
async def test_a_batch_goes_on_wherever_its_feeder_ends(
    room: Room, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
) -> None:
    lines = [line_of(n) for n in range(23)]
    batch = await room.batch(lines)
    doors = Doors(room, monkeypatch, at, after)

    for nth in (1, 2, 4):
        doors.arm(nth)
        if (await room.batches.get(batch.id, OWNER)).status is not Status.COMPLETED:
            with suppress(Crash, BaseExceptionGroup):
                await run(room)
    doors.arm(0)
    if (await room.batches.get(batch.id, OWNER)).status is not Status.COMPLETED:
        await run(room)
    now, good, bad = await room.results(batch)

    assert now.status is Status.COMPLETED
    assert (now.completed, now.failed, now.output_tokens) == (23, 0, 46)
    assert bad == []
    assert once_each(lines, good)
    # Handed in twice it is the same turn: nothing is computed again.
    assert set(room.asked.values()) == {1}


async def test_a_feeder_that_wakes_up_late_adds_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line_of(n) for n in range(9)]
    batch = await room.batch(lines)
    asleep, joining, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()
    put, parts = Blobs.put, Feed.parts

    async def late_put(self: Blobs, path: str, content: bytes) -> None:
        if not asleep.is_set():
            asleep.set()
            await joining.wait()
        await put(self, path, content)

    async def late_parts(self: Feed, batch: Batch) -> list[str]:
        joining.set()
        await refused.wait()
        return await parts(self, batch)

    monkeypatch.setattr(Blobs, "put", late_put)
    monkeypatch.setattr(Feed, "parts", late_parts)
    monkeypatch.setattr(output, "MOST_LINES", 2)
    late = asyncio.create_task(run(room))
    async with asyncio.timeout(20):
        await asleep.wait()
        # The next one's parts are cut elsewhere, and it has written them all before the late one's.
        monkeypatch.setattr(output, "MOST_LINES", 5)
        next_one = asyncio.create_task(run(room))
        with pytest.raises(BaseExceptionGroup):
            await late
        refused.set()
        await next_one
    now, good, _ = await room.results(batch)

    assert (now.completed, now.epoch) == (9, 2)
    assert once_each(lines, good)


async def test_a_line_that_takes_long_holds_nobody_up_and_is_all_that_is_left(room: Room) -> None:
    lines = [line_of(n) for n in range(12)]
    batch = await room.batch(lines)
    first = asyncio.create_task(room.feeder(await taken(room)).run())
    async with asyncio.timeout(20):
        while (slow := room.queue.claim(1)) is None:
            await asyncio.sleep(0.01)
        while (await room.batches.get(batch.id, OWNER)).completed < 11:
            room.answer_one()
            await asyncio.sleep(0.01)
    await end([first])
    room.queue.requeue([(slow.id, slow.attempt)])
    await run(room)
    now, good, _ = await room.results(batch)

    assert now.completed == 12
    assert once_each(lines, good)
    assert set(room.asked.values()) == {1}


async def test_no_more_lines_are_under_way_than_the_window_holds(
    room: Room, redis: "redis.asyncio.Redis"
) -> None:
    await room.batch([line_of(n) for n in range(50)])
    feeder = asyncio.create_task(room.feeder(await taken(room)).run())
    most = 0
    async with asyncio.timeout(20):
        while not feeder.done():
            most = max(most, await redis.zcard(keys.queue("tiny", "batch")))
            if most >= 4:  # until then nobody makes room
                room.answer_one()
            await asyncio.sleep(0)
    await feeder

    assert most == 4
