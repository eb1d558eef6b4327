"""A job comes to its end with each line once in its output, wherever its feeder is broken off."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tests.ws_server.bulk_house import OWNER, Room, line_of, over
from turns import keys
from turns.connection import connect, connect_async
from turns.ending import end
from turns.feed import Feed, turn_id
from turns.jobs import Job, Status
from turns.line import Line
from turns.settings import TurnSettings
from ws_server.bulk import feeding, output
from ws_server.bulk.blobs import Blobs


class Crash(BaseException):
    """The feeder's process ends here."""


@pytest.fixture
async def room(
    redis_url: str,
    redis: "redis.asyncio.Redis",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Room]:
    # Small parts, so that a few lines make several; but larger than the window, so that more may
    # have ended than the next feeder first hands in.
    monkeypatch.setattr(output, "MOST_LINES", 7)
    settings = TurnSettings(redis_url=redis_url)
    client, worker = connect_async(redis_url), connect(redis_url)
    yield Room(client, worker, settings, tmp_path / "files")
    await client.aclose()
    worker.close()


async def taken(room: Room) -> Job:
    """Take the job, as the next node does when a lease has run out."""
    for id in await room.client.zrange(keys.job_leases(), 0, -1):
        await room.client.zadd(keys.job_leases(), {id: 0})
    job = await room.feed.take()
    assert job is not None
    return job


async def run(room: Room, **doors: Any) -> None:
    """Feed the job that is there, while somebody answers."""
    feeder = room.feeder(await taken(room), **doors)
    working = asyncio.create_task(room.work())
    try:
        async with asyncio.timeout(30):
            await feeder.run()
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def once_each(lines: list[Any], *results: list[Any]) -> bool:
    found = Counter(result["custom_id"] for some in results for result in some)
    return found == Counter(line["custom_id"] for line in lines)


async def test_each_line_is_answered_and_written_once(
    room: Room, redis: "redis.asyncio.Redis"
) -> None:
    lines = [line_of(n) for n in range(20)]
    job = await room.job(lines)

    await run(room)
    now, good, bad = await room.results(job)

    assert now.status is Status.COMPLETED
    assert (now.total, now.completed, now.failed) == (20, 20, 0)
    assert (now.input_tokens, now.cached_tokens, now.output_tokens) == (60, 20, 40)
    assert bad == []
    assert once_each(lines, good)
    assert set(room.asked.values()) == {1}
    left = {key.decode().split(":")[1] async for key in redis.scan_iter(match="ts:*")}
    assert left.isdisjoint({"turn", "log", "job-ended", "job-marks", "job-parts"})


class Doors:
    """A feeder's doors, one of which ends its process at the nth time somebody goes through."""

    def __init__(self, room: Room, monkeypatch: pytest.MonkeyPatch, at: str, after: bool) -> None:
        self._left = 0
        self._after = after
        door, _, name = at.partition(".")
        #: What a feeder is given.
        self.feed, self.blobs = room.feed, room.blobs
        target: Any = {"feed": self.feed, "blobs": self.blobs, "files": room.files}[door]
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
async def test_a_job_goes_on_wherever_its_feeder_ends(
    room: Room, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
) -> None:
    lines = [line_of(n) for n in range(23)]
    job = await room.job(lines)
    doors = Doors(room, monkeypatch, at, after)

    for nth in (1, 2, 4):
        doors.arm(nth)
        if (await room.jobs.get(job.id, OWNER)).status is not Status.COMPLETED:
            with suppress(Crash, BaseExceptionGroup):
                await run(room)
    doors.arm(0)
    if (await room.jobs.get(job.id, OWNER)).status is not Status.COMPLETED:
        await run(room)
    now, good, bad = await room.results(job)

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
    job = await room.job(lines)
    asleep, joining, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()
    put, parts = Blobs.put, Feed.parts

    async def late_put(self: Blobs, path: str, content: bytes) -> None:
        if not asleep.is_set():
            asleep.set()
            await joining.wait()
        await put(self, path, content)

    async def late_parts(self: Feed, job: Job) -> list[str]:
        joining.set()
        await refused.wait()
        return await parts(self, job)

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
    now, good, _ = await room.results(job)

    assert (now.completed, now.epoch) == (9, 2)
    assert once_each(lines, good)


async def test_a_line_that_takes_long_holds_nobody_up_and_is_all_that_is_left(room: Room) -> None:
    lines = [line_of(n) for n in range(12)]
    job = await room.job(lines)
    first = asyncio.create_task(room.feeder(await taken(room)).run())
    async with asyncio.timeout(20):
        while (slow := room.line.claim(1)) is None:
            await asyncio.sleep(0.01)
        while (await room.jobs.get(job.id, OWNER)).completed < 11:
            room.answer_one()
            await asyncio.sleep(0.01)
    await end([first])
    room.line.release([(slow.id, slow.attempt)])
    await run(room)
    now, good, _ = await room.results(job)

    assert now.completed == 12
    assert once_each(lines, good)
    assert set(room.asked.values()) == {1}


async def test_a_line_that_ends_its_workers_becomes_an_error_line(
    room: Room, redis_url: str, redis: "redis.asyncio.Redis"
) -> None:
    job = await room.job([line_of(1), line_of(2)])
    settings = TurnSettings(redis_url=redis_url)
    client = connect(redis_url)
    poisoned = Line(client, settings, model="tiny", worker="w1")
    feeder = asyncio.create_task(room.feeder(await taken(room)).run())
    poison = turn_id(job.id, 1)
    losses = 0
    async with asyncio.timeout(20):
        while losses < settings.most_attempts:
            claimed = poisoned.claim(1)
            if claimed is None:
                await asyncio.sleep(0.01)
            elif claimed.id == poison:
                losses += 1
                await redis.zadd(keys.leases(), {poison: 0})
                poisoned.sweep()
            else:
                poisoned.release([(claimed.id, claimed.attempt)])
                await redis.zadd(keys.line("tiny", "batch"), {f"{'9' * 14}:{claimed.id}": 1e9})
        while room.answer_one() is False:
            await asyncio.sleep(0.01)
        await feeder
    client.close()
    now, good, [bad] = await room.results(job)

    assert (now.completed, now.failed) == (1, 1)
    assert [result["custom_id"] for result in good] == ["c2"]
    assert bad["custom_id"] == "c1"
    assert bad["response"]["status_code"] == 500
    assert "3 attempts" in bad["response"]["body"]["error"]["message"]


async def test_lines_that_are_not_answered_in_time_are_expired_and_the_rest_kept(
    room: Room,
) -> None:
    lines = [line_of(n) for n in range(9)]
    job = await room.job(lines, seconds=2)
    feeder = asyncio.create_task(room.feeder(await taken(room)).run())
    async with asyncio.timeout(20):
        for _ in range(2):
            while not room.answer_one():
                await asyncio.sleep(0.01)
        await feeder
    now, good, bad = await room.results(job)

    assert now.status is Status.EXPIRED
    assert {"finalizing_at", "expired_at"} <= set(now.moments)
    assert (now.completed, now.failed) == (2, 7)
    assert {result["error"]["code"] for result in bad} == {"batch_expired"}
    assert once_each(lines, good, bad)


async def test_a_cancel_is_carried_out_by_the_next_feeder_too(room: Room) -> None:
    lines = [line_of(n) for n in range(9)]
    job = await room.job(lines)
    first = asyncio.create_task(room.feeder(await taken(room)).run())
    async with asyncio.timeout(20):
        while not room.answer_one():
            await asyncio.sleep(0.01)
    await end([first])
    await room.jobs.cancel(job.id, OWNER)
    await room.feeder(await taken(room)).run()
    now, good, bad = await room.results(job)

    assert now.status is Status.CANCELLED
    assert len(good) == 1
    assert {result["error"]["code"] for result in bad} == {"batch_cancelled"}
    assert once_each(lines, good, bad)


async def test_a_turn_that_will_not_stop_is_given_up_in_the_end(
    room: Room, monkeypatch: pytest.MonkeyPatch, redis: "redis.asyncio.Redis"
) -> None:
    monkeypatch.setattr(feeding, "STOP_SECONDS", 0.2)
    job = await room.job([line_of(1)])
    feeder = asyncio.create_task(room.feeder(await taken(room)).run())
    async with asyncio.timeout(20):
        while room.line.claim(1) is None:
            await asyncio.sleep(0.01)
        await room.jobs.cancel(job.id, OWNER)
        await feeder
    now, _, [bad] = await room.results(job)

    assert now.status is Status.CANCELLED
    assert bad["error"]["code"] == "batch_cancelled"
    assert await redis.zcard(keys.leases()) == 0


async def test_a_batch_whose_file_was_deleted_fails_and_says_so(room: Room) -> None:
    job = await room.job([line_of(1)])
    await room.blobs.delete(f"files/{job.plan.input_file_id}")

    await room.feeder(await taken(room)).run()

    now = await over(room, job)
    assert now.status is Status.FAILED
    assert now.problems is not None
    assert [problem["code"] for problem in now.problems] == ["input_file_not_found"]


async def test_no_more_lines_are_under_way_than_the_window_holds(
    room: Room, redis: "redis.asyncio.Redis"
) -> None:
    await room.job([line_of(n) for n in range(50)])
    feeder = asyncio.create_task(room.feeder(await taken(room)).run())
    most = 0
    async with asyncio.timeout(20):
        while not feeder.done():
            most = max(most, await redis.zcard(keys.line("tiny", "batch")))
            if most >= 4:  # until then nobody makes room
                room.answer_one()
            await asyncio.sleep(0)
    await feeder

    assert most == 4


async def test_what_is_half_written_is_not_there(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise Crash

    with pytest.raises(Crash):
        await blobs.write("files/a", broken())

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
