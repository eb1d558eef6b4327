"""Each line of a batch is one turn and one mark."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.conftest import MODEL, ending, slices
from tests.turns.feeding import mark_of
from turnstream.turns import keys
from turnstream.turns.batches import Batch, Batches
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import StreamExpired
from turnstream.turns.feed import Feed, Verdict, turn_id
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn


async def test_a_line_handed_in_twice_is_one_turn(
    redis: "redis.asyncio.Redis", feed: Feed, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    for _ in range(2):
        assert await feed.submit(batch, [line_of(batch, 1)]) == [Verdict.TAKEN]

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 1


async def test_a_line_whose_answer_nobody_follows_is_on_the_list_when_it_ends(
    feed: Feed, batch: Batch, line_of: Callable[..., Turn], queue: TurnQueue, log: Log
) -> None:
    await feed.submit(batch, [line_of(batch, 1), line_of(batch, 2)])
    claimed = queue.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    ids = await feed.ended(batch, 0)
    [end] = await feed.ends(ids)

    assert ids == [turn_id(batch.id, 1)]
    assert end is not None
    assert (end.status, end.rest) == ("completed", '"id":"x"}')


async def test_a_line_taken_up_again_goes_on_from_its_ids_though_its_log_has_no_events(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])
    first = queue.claim(1)
    assert first is not None
    log.append([slices(first.id, first=first.seq + 1, texts=["a", "b"])])
    written = [entry[b"event"] for _, entry in await redis.xrange(keys.log(first.id))]
    queue.requeue([(first.id, first.attempt)])

    again = queue.claim(1)

    assert written == [b"", b""]
    assert again is not None
    assert first.unread
    assert again.unread
    assert again.ids == (first.seq + 1, first.seq + 2)


async def test_a_line_cannot_be_followed(
    turn_client: TurnClient, feed: Feed, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])

    with pytest.raises(StreamExpired):
        async with turn_client.follow(turn_id(batch.id, 1), "ann", after=-1):
            pass


async def test_a_refusal_by_a_worker_is_told_as_it_was_said(
    feed: Feed, batch: Batch, line_of: Callable[..., Turn], queue: TurnQueue, log: Log
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])
    claimed = queue.claim(1)
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

    [end] = await feed.ends(await feed.ended(batch, 0))

    assert end is not None
    assert end.last == refusal.encode()


async def test_a_line_waits_without_a_reader_though_it_is_not_stored(
    redis: "redis.asyncio.Redis", feed: Feed, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])

    assert await redis.zcard(keys.watches()) == 0


async def test_a_mark_repeated_counts_once_and_forgets_the_turn(
    redis: "redis.asyncio.Redis",
    client: "redis.asyncio.Redis",
    feed: Feed,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await feed.submit(batch, [line_of(batch, 9)])
    claimed = queue.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    for _ in range(2):
        await feed.mark(batch, 1, mark_of((9, turn_id(batch.id, 9)), read=1))

    now = await Batches(client).get(batch.id, "ann")
    assert (now.completed, now.output_tokens, now.step) == (1, 2, 1)
    assert await feed.parts(batch) == ["1.out"]
    assert await feed.ended(batch, 0) == []
    marks = await feed.marks(batch)
    assert [n for n in range(20) if n in marks] == [9]
    left = [key async for key in redis.scan_iter(match=f"*{turn_id(batch.id, 9)}*")]
    assert left == []


async def test_marks_are_read_from_the_first_line_that_may_be_open(
    feed: Feed, batch: Batch
) -> None:
    await feed.mark(batch, 1, mark_of((17, ""), (1000, "")))

    marks = await feed.marks(replace(batch, next_line=16))

    assert [n for n in range(2000) if n in marks] == [17, 1000]


async def test_a_line_that_will_not_end_is_let_go_of_with_its_mark(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await feed.submit(batch, [line_of(batch, 1), line_of(batch, 2)])
    claimed = queue.claim(1)
    assert claimed is not None
    await feed.mark(batch, 1, mark_of((1, turn_id(batch.id, 1)), (2, turn_id(batch.id, 2))))

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 0
    assert await redis.zcard(keys.leases()) == 0
    assert await redis.zcard(keys.deadlines()) == 0
    assert log.append([slices(claimed.id, first=claimed.seq + 1, texts=["a"])]) == ["gone"]


async def test_a_cancel_says_which_turns_are_there(
    feed: Feed, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])

    ids = [turn_id(batch.id, 1), turn_id(batch.id, 2)]

    assert await feed.cancel(batch, ids) == [Verdict.TAKEN, Verdict.ABSENT]
    assert await feed.cancel(batch, ids) == [Verdict.ENDED, Verdict.ABSENT]
    assert await feed.ended(batch, 0) == [turn_id(batch.id, 1)]
    assert await feed.submit(batch, [line_of(batch, 1)]) == [Verdict.ENDED]


async def test_a_batch_outlives_the_time_in_which_nobody_serves_its_model(
    redis: "redis.asyncio.Redis",
    feed: Feed,
    batch: Batch,
    line_of: Callable[..., Turn],
    settings: TurnSettings,
    make_queue: Callable[..., TurnQueue],
) -> None:
    await feed.submit(batch, [line_of(batch, 1)])
    await redis.hset(keys.turn(turn_id(batch.id, 1)), "queued_at", 1)

    make_queue(settings=replace(settings, no_worker_seconds=1)).sweep()

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 1
