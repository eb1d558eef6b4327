"""Each line of a batch is one turn and is committed once."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.batch_values import commit_of
from tests.turns.conftest import MODEL, ending, slices
from turnstream.turns import keys
from turnstream.turns.batch import Batch, Verdict, line_turn_id
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import StreamExpired
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn


async def test_a_line_submitted_twice_is_one_turn(
    redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    for _ in range(2):
        assert await store.submit_lines(batch, [line_of(batch, 1)]) == [Verdict.ACCEPTED]

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 1


async def test_a_line_without_a_follower_is_in_the_list_of_ended_turns_when_it_ends(
    store: BatchStore, batch: Batch, line_of: Callable[..., Turn], queue: TurnQueue, log: Log
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1), line_of(batch, 2)])
    claimed = queue.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    ids = await store.ended_ids(batch, 0)
    [end] = await store.ended_turns(ids)

    assert ids == [line_turn_id(batch.id, 1)]
    assert end is not None
    assert end.status == "completed"
    assert end.response.startswith('"id":"x"')


async def test_a_second_attempt_at_a_line_continues_from_its_token_ids_without_logged_events(
    redis: "redis.asyncio.Redis",
    store: BatchStore,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])
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
    assert again.token_ids == (first.seq + 1, first.seq + 2)


async def test_a_line_cannot_be_followed(
    turn_client: TurnClient, store: BatchStore, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])

    with pytest.raises(StreamExpired):
        async with turn_client.follow(line_turn_id(batch.id, 1), "ann", after=-1):
            pass


async def test_a_refusal_by_a_worker_keeps_its_status_and_code(
    store: BatchStore, batch: Batch, line_of: Callable[..., Turn], queue: TurnQueue, log: Log
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])
    claimed = queue.claim(1)
    assert claimed is not None
    refusal = '{"type":"error","status":400}'
    final = Final(status="failed", error="null", response='"id":"x"}', text="")
    part = Append(
        id=claimed.id,
        attempt=1,
        first=claimed.seq + 1,
        entries=(Entry(refusal),),
        final=final,
    )
    log.append([part])

    [end] = await store.ended_turns(await store.ended_ids(batch, 0))

    assert end is not None
    assert end.last == refusal.encode()


async def test_a_line_waits_without_a_reader_though_it_is_not_stored(
    redis: "redis.asyncio.Redis", store: BatchStore, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])

    assert await redis.zcard(keys.watches()) == 0


async def test_a_repeated_commit_counts_once_and_deletes_the_turn(
    redis: "redis.asyncio.Redis",
    store: BatchStore,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await store.submit_lines(batch, [line_of(batch, 9)])
    claimed = queue.claim(2)
    assert claimed is not None
    log.append([ending(claimed.id, first=claimed.seq + 1)])

    for _ in range(2):
        await store.commit(batch, 1, commit_of((9, line_turn_id(batch.id, 9)), read=1))

    now = await store.get(batch.id, "ann")
    assert (now.completed, now.output_tokens, now.step) == (1, 2, 1)
    assert await store.parts(batch) == ["1.out"]
    assert await store.ended_ids(batch, 0) == []
    committed = await store.committed_lines(batch)
    assert [n for n in range(20) if n in committed] == [9]
    left = [key async for key in redis.scan_iter(match=f"*{line_turn_id(batch.id, 9)}*")]
    assert left == []


async def test_commits_are_read_from_the_first_line_that_may_be_uncommitted(
    store: BatchStore, batch: Batch
) -> None:
    await store.commit(batch, 1, commit_of((17, ""), (1000, "")))

    committed = await store.committed_lines(replace(batch, next_line=16))

    assert [n for n in range(2000) if n in committed] == [17, 1000]


async def test_a_commit_removes_a_turn_that_has_not_ended(
    redis: "redis.asyncio.Redis",
    store: BatchStore,
    batch: Batch,
    line_of: Callable[..., Turn],
    queue: TurnQueue,
    log: Log,
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1), line_of(batch, 2)])
    claimed = queue.claim(1)
    assert claimed is not None
    await store.commit(
        batch, 1, commit_of((1, line_turn_id(batch.id, 1)), (2, line_turn_id(batch.id, 2)))
    )

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 0
    assert await redis.zcard(keys.leases()) == 0
    assert await redis.zcard(keys.deadlines()) == 0
    assert log.append([slices(claimed.id, first=claimed.seq + 1, texts=["a"])]) == ["gone"]


async def test_a_cancel_returns_which_turns_exist(
    store: BatchStore, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])

    ids = [line_turn_id(batch.id, 1), line_turn_id(batch.id, 2)]

    assert await store.cancel_lines(batch, ids) == [Verdict.ACCEPTED, Verdict.ABSENT]
    assert await store.cancel_lines(batch, ids) == [Verdict.ENDED, Verdict.ABSENT]
    assert await store.ended_ids(batch, 0) == [line_turn_id(batch.id, 1)]
    assert await store.submit_lines(batch, [line_of(batch, 1)]) == [Verdict.ENDED]


async def test_a_batch_line_waits_while_no_worker_serves_its_model(
    redis: "redis.asyncio.Redis",
    store: BatchStore,
    batch: Batch,
    line_of: Callable[..., Turn],
    settings: TurnSettings,
    make_queue: Callable[..., TurnQueue],
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])
    await redis.hset(keys.turn(line_turn_id(batch.id, 1)), "queued_at", 1)

    make_queue(settings=replace(settings, no_worker_seconds=1)).sweep()

    assert await redis.zcard(keys.queue(MODEL, "batch")) == 1
