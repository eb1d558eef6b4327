"""A job is fed by one feeder at a time, and each of its lines is one turn and one mark."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.conftest import MODEL, MakeTurn, ending, slices
from turns import keys
from turns.connection import connect_async
from turns.errors import StreamExpired
from turns.feed import Feed, JobLost, Mark, Verdict, turn_id
from turns.front import Front
from turns.jobs import Job, Jobs, Plan, Status
from turns.line import Line
from turns.log import Append, Entry, Final, Log
from turns.settings import TurnSettings
from turns.turn import JobLine, Turn

PLAN = Plan(
    endpoint="/v1/responses",
    input_file_id="file-1",
    completion_window="24h",
    metadata=None,
    created_at=1_800_000_000,
    expires_at=1_800_086_400,
    output_seconds=60,
)


@pytest.fixture
async def client(settings: TurnSettings) -> AsyncIterator["redis.asyncio.Redis"]:
    client = connect_async(settings.redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def feed(client: "redis.asyncio.Redis", settings: TurnSettings) -> Feed:
    return Feed(client, settings)


@pytest.fixture
async def job(client: "redis.asyncio.Redis", feed: Feed) -> Job:
    """A job of ann's, taken."""
    await Jobs(client).create("ann", PLAN, None)
    job = await feed.take()
    assert job is not None
    return job


@pytest.fixture
def line_of(make_turn: MakeTurn) -> Callable[..., Turn]:
    def make(job: Job, number: int) -> Turn:
        origin = JobLine(job=job.id, epoch=job.epoch, number=number)
        turn = make_turn(tier="batch", store=False)
        return replace(turn, id=turn_id(job.id, number), job=origin)

    return make


def mark_of(*lines: tuple[int, str], read: int = 0, part: str = "1.out") -> Mark:
    return Mark(
        completed=len(lines),
        failed=0,
        input_tokens=1,
        cached_tokens=0,
        output_tokens=2,
        next_line=1,
        next_offset=0,
        read=read,
        parts=(part,),
        lines=lines,
    )


async def taken_over(redis: "redis.asyncio.Redis", feed: Feed, job: Job) -> Job:
    await redis.zadd(keys.job_leases(), {job.id: 0})
    taken = await feed.take()
    assert taken is not None
    return taken


async def test_a_job_has_one_feeder_until_its_lease_runs_out(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    assert await feed.take() is None

    assert (await taken_over(redis, feed, job)).epoch == job.epoch + 1


async def test_a_job_that_is_let_go_of_is_taken_at_once(feed: Feed, job: Job) -> None:
    await feed.let_go(job)

    taken = await feed.take()

    assert taken is not None
    assert taken.id == job.id


async def test_a_feeder_that_lost_its_job_can_change_nothing(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    await taken_over(redis, feed, job)
    before = await redis.hgetall(keys.job(job.id))

    for late in (
        feed.renew(job),
        feed.step(job, Status.VALIDATING, Status.FAILED),
        feed.submit(job, [line_of(job, 1)]),
        feed.mark(job, 1, mark_of((1, ""))),
        feed.end(job, Status.COMPLETED, 60, total=0),
    ):
        with pytest.raises(JobLost):
            await late

    assert await redis.hgetall(keys.job(job.id)) == before
    assert await redis.exists(keys.turn(turn_id(job.id, 1))) == 0


async def test_a_line_handed_in_twice_is_one_turn(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    for _ in range(2):
        assert await feed.submit(job, [line_of(job, 1)]) == [Verdict.TAKEN]

    assert await redis.zcard(keys.line(MODEL, "batch")) == 1


async def test_a_line_whose_answer_nobody_follows_is_on_the_list_when_it_ends(
    feed: Feed, job: Job, line_of: Callable[..., Turn], line: Line, log: Log
) -> None:
    await feed.submit(job, [line_of(job, 1), line_of(job, 2)])
    claimed = line.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    ids = await feed.ended(job, 0)
    [end] = await feed.ends(ids)

    assert ids == [turn_id(job.id, 1)]
    assert end is not None
    assert (end.status, end.rest) == ("completed", '"id":"x"}')


async def test_a_line_taken_up_again_goes_on_from_its_ids_though_its_log_has_no_events(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    job: Job,
    line_of: Callable[..., Turn],
    line: Line,
    log: Log,
) -> None:
    await feed.submit(job, [line_of(job, 1)])
    first = line.claim(1)
    assert first is not None
    log.append([slices(first.id, first=first.seq + 1, texts=["a", "b"])])
    written = [entry[b"e"] for _, entry in await redis.xrange(keys.log(first.id))]
    line.release([(first.id, first.attempt)])

    again = line.claim(1)

    assert written == [b"", b""]
    assert again is not None
    assert first.unread
    assert again.unread
    assert again.ids == (first.seq + 1, first.seq + 2)


async def test_a_line_cannot_be_followed(
    front: Front, feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(job, [line_of(job, 1)])

    with pytest.raises(StreamExpired):
        async with front.follow(turn_id(job.id, 1), "ann", after=-1):
            pass


async def test_a_refusal_by_a_worker_is_told_as_it_was_said(
    feed: Feed, job: Job, line_of: Callable[..., Turn], line: Line, log: Log
) -> None:
    await feed.submit(job, [line_of(job, 1)])
    claimed = line.claim(1)
    assert claimed is not None
    refusal = '{"type":"error","status":400}'
    final = Final(status="failed", error="null", rest='"id":"x"}', text="")
    part = Append(
        id=claimed.id,
        attempt=1,
        first=claimed.seq + 1,
        entries=(Entry(refusal),),
        final=final,
    )
    log.append([part])

    [end] = await feed.ends(await feed.ended(job, 0))

    assert end is not None
    assert end.last == refusal.encode()


async def test_a_line_waits_without_a_reader_though_it_is_not_stored(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(job, [line_of(job, 1)])

    assert await redis.zcard(keys.watches()) == 0


async def test_a_mark_repeated_counts_once_and_forgets_the_turn(
    redis: "redis.asyncio.Redis",
    client: "redis.asyncio.Redis",
    feed: Feed,
    job: Job,
    line_of: Callable[..., Turn],
    line: Line,
    log: Log,
) -> None:
    await feed.submit(job, [line_of(job, 9)])
    claimed = line.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    for _ in range(2):
        await feed.mark(job, 1, mark_of((9, turn_id(job.id, 9)), read=1))

    now = await Jobs(client).get(job.id, "ann")
    assert (now.completed, now.output_tokens, now.step) == (1, 2, 1)
    assert await feed.parts(job) == ["1.out"]
    assert await feed.ended(job, 0) == []
    marks = await feed.marks(job)
    assert [n for n in range(20) if n in marks] == [9]
    left = [key async for key in redis.scan_iter(match=f"*{turn_id(job.id, 9)}*")]
    assert left == []


async def test_marks_are_read_from_the_first_line_that_may_be_open(feed: Feed, job: Job) -> None:
    await feed.mark(job, 1, mark_of((17, ""), (1000, "")))

    marks = await feed.marks(replace(job, next_line=16))

    assert [n for n in range(2000) if n in marks] == [17, 1000]


async def test_a_line_that_will_not_end_is_let_go_of_with_its_mark(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    job: Job,
    line_of: Callable[..., Turn],
    line: Line,
    log: Log,
) -> None:
    await feed.submit(job, [line_of(job, 1), line_of(job, 2)])
    claimed = line.claim(1)
    assert claimed is not None
    await feed.mark(job, 1, mark_of((1, turn_id(job.id, 1)), (2, turn_id(job.id, 2))))

    assert await redis.zcard(keys.line(MODEL, "batch")) == 0
    assert await redis.zcard(keys.leases()) == 0
    assert await redis.zcard(keys.deadlines()) == 0
    assert log.append([slices(claimed.id, first=claimed.seq + 1, texts=["a"])]) == ["gone"]


async def test_a_cancel_says_which_turns_are_there(
    feed: Feed, job: Job, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(job, [line_of(job, 1)])

    ids = [turn_id(job.id, 1), turn_id(job.id, 2)]

    assert await feed.cancel(job, ids) == [Verdict.TAKEN, Verdict.ABSENT]
    assert await feed.cancel(job, ids) == [Verdict.ENDED, Verdict.ABSENT]
    assert await feed.ended(job, 0) == [turn_id(job.id, 1)]
    assert await feed.submit(job, [line_of(job, 1)]) == [Verdict.ENDED]


async def test_a_job_moves_on_only_from_where_it_stands(
    client: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    await Jobs(client).cancel(job.id, "ann")

    assert await feed.step(job, Status.VALIDATING, Status.IN_PROGRESS) is Status.CANCELLING
    assert await feed.renew(job) is Status.CANCELLING


async def test_an_ended_job_leaves_its_record_and_nothing_else(
    redis: "redis.asyncio.Redis", feed: Feed, job: Job
) -> None:
    await feed.mark(job, 1, mark_of((1, "")))
    await feed.end(job, Status.COMPLETED, 60, completed_at=1)

    left = [key.decode() async for key in redis.scan_iter(match="ts:job*")]
    assert sorted(left) == [keys.job(job.id), keys.jobs("ann")]
    assert 0 < await redis.ttl(keys.job(job.id)) <= 60
    assert await feed.take() is None


async def test_a_job_outlives_the_time_in_which_nobody_serves_its_model(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    job: Job,
    line_of: Callable[..., Turn],
    settings: TurnSettings,
    make_line: Callable[..., Line],
) -> None:
    await feed.submit(job, [line_of(job, 1)])
    await redis.hset(keys.turn(turn_id(job.id, 1)), "since", 1)

    make_line(settings=replace(settings, nobody_seconds=1)).sweep()

    assert await redis.zcard(keys.line(MODEL, "batch")) == 1


async def test_a_job_made_twice_under_one_key_is_one_job(client: "redis.asyncio.Redis") -> None:
    jobs = Jobs(client)
    first = await jobs.create("ann", PLAN, "k")

    assert (await jobs.create("ann", replace(PLAN, created_at=5), "k")).id == first.id
    assert (await jobs.create("bob", PLAN, "k")).id != first.id
    assert (await jobs.create("ann", PLAN, None)).id != first.id
