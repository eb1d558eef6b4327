"""What an owner has stored: counted when it is stored, given back when it expires or is deleted."""

import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.turns.batch_values import PLAN
from tests.turns.conftest import MODEL, MakeTurn, ending, submitted
from turnstream.turns import keys, token_count
from turnstream.turns.batch import Status
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.conversations import Conversation
from turnstream.turns.errors import Overloaded, RateLimited
from turnstream.turns.files import RECORD_BYTES, File, Files, new_file_id
from turnstream.turns.limits import OwnerLimits
from turnstream.turns.log import Log
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Turn

#: Opens a node with limits.
Limited = Callable[[str], AbstractAsyncContextManager[TurnClient]]


def limited_settings(settings: TurnSettings, text: str) -> TurnSettings:
    limits = OwnerLimits.read({"TURNSTREAM_LIMITS": text})
    return dataclasses.replace(settings, limits=limits)


@pytest.fixture
def limited(settings: TurnSettings) -> Limited:
    @asynccontextmanager
    async def make(text: str) -> AsyncIterator[TurnClient]:
        async with open_client(limited_settings(settings, text), "n") as turn_client:
            yield turn_client

    return make


async def stored(redis: Redis, owner: str = "ann") -> int:
    """Return the bytes that are counted, and check that the total is the sum of its parts."""
    parts: dict[bytes, bytes] = await redis.hgetall(keys.stored_bytes(owner))  # type: ignore[misc]
    total = int(parts.pop(b"total", 0))
    assert total == sum(map(int, parts.values()))
    return total


async def refuse(call: Any, limit: str) -> None:
    with pytest.raises(RateLimited, match=re.escape(f"limit {limit}=")) as caught:
        await call
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")


def warm_up(turn: Turn) -> Turn:
    return dataclasses.replace(turn, generate=False)


async def test_hundreds_of_large_warm_ups_are_refused_beyond_the_bytes_of_their_owner(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    large = "x" * 262_000
    async with limited("stored_bytes=2000000") as turn_client:
        for _ in range(7):
            await submitted(turn_client, warm_up(make_turn(large)))
        await refuse(submitted(turn_client, warm_up(make_turn(large))), "stored_bytes")
        assert 7 * 262_000 < await stored(redis) <= 2_000_000
        await refuse(submitted(turn_client, make_turn(large)), "stored_bytes")
        await submitted(turn_client, make_turn(large, owner="bob"))
        await submitted(turn_client, make_turn("short"))


async def test_bytes_are_given_back_when_a_turn_is_deleted(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn("x" * 10_000))
    assert 10_000 < await stored(redis) < 14_000
    queue.claim(1)
    log.append([ending(turn.id, first=3, text="y" * 20_000)])
    # The response holds the text once more.
    assert 30_000 < await stored(redis) < 60_000

    await turn_client.stored.delete(turn.id, "ann")

    # The log expires by itself, in minutes.
    assert await stored(redis) < 6_000


async def test_bytes_are_given_back_when_they_expire(
    limited: Limited, make_turn: MakeTurn, redis: Redis
) -> None:
    key = keys.stored_bytes("ann")
    async with limited("stored_bytes=20000") as turn_client:
        await submitted(turn_client, warm_up(make_turn("x" * 10_000)))
        await refuse(submitted(turn_client, warm_up(make_turn("x" * 10_000))), "stored_bytes")
        parts: dict[bytes, bytes] = await redis.hgetall(key)  # type: ignore[misc]
        for part, count in parts.items():
            if part != b"total":
                # As if all of it had been stored for a time that is over.
                await redis.hdel(key, part)  # type: ignore[misc]
                await redis.hincrby(key, "1", int(count))  # type: ignore[misc]
        await submitted(turn_client, warm_up(make_turn("x" * 10_000)))
    assert 10_000 < await stored(redis) < 18_000


async def test_a_turn_whose_life_is_extended_is_counted_once(
    settings: TurnSettings, make_turn: MakeTurn, redis: Redis
) -> None:
    first = make_turn("x" * 40_000)
    previous = None
    for days in (10, 20, 30):
        longer = dataclasses.replace(settings, store_seconds=days * 24 * 3600)
        async with open_client(longer, "n") as turn_client:
            if previous is None:
                await submitted(turn_client, warm_up(first))
            else:
                await redis.hset(keys.turn(first.id), "held", 0)  # type: ignore[misc]
                follows = make_turn("y", previous_response_id=first.id)
                await submitted(turn_client, warm_up(follows))
            previous = first.id
    parts: dict[bytes, bytes] = await redis.hgetall(keys.stored_bytes("ann"))  # type: ignore[misc]
    until = await redis.hget(keys.turn(first.id), "stored_until")  # type: ignore[misc]

    assert await stored(redis)
    assert [part for part, size in parts.items() if int(size) > 40_000 and part != b"total"] == [
        until
    ]


async def test_a_batch_line_is_not_counted(
    store: BatchStore, batch: Any, line_of: Callable[..., Turn], redis: Redis
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])

    assert await stored(redis) == 0


async def test_items_of_a_conversation_count_and_are_given_back(
    limited: Limited, redis: Redis
) -> None:
    made = Conversation(id="conv_" + 32 * "1", created_at=1, metadata={})
    async with limited("stored_bytes=20000") as turn_client:
        await turn_client.conversations.create(made, "ann", [Message("user", "x" * 10_000)])
        more = turn_client.conversations.add(made.id, "ann", [Message("user", "x" * 10_000)])
        await refuse(more, "stored_bytes")
        assert await stored(redis) > 10_000
        await turn_client.conversations.delete(made.id, "ann")
        assert await stored(redis) == 0


async def test_warm_ups_are_limited_per_minute(limited: Limited, make_turn: MakeTurn) -> None:
    async with limited("warm_ups_per_minute=2 requests_per_minute=1") as turn_client:
        for _ in range(2):
            await submitted(turn_client, warm_up(make_turn()))
        await refuse(submitted(turn_client, warm_up(make_turn())), "warm_ups_per_minute")
        await submitted(turn_client, make_turn())


async def test_token_counts_are_limited_per_minute(
    limited: Limited, queue: TurnQueue, make_turn: MakeTurn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_count, "REPLY_SECONDS", 1.0)
    queue.heartbeat([], {"context": 64}, slots=1)
    async with limited("counts_per_minute=1") as turn_client:
        with pytest.raises(Overloaded, match="answered in time"):
            await turn_client.counts.count(make_turn())
        await refuse(turn_client.counts.count(make_turn()), "counts_per_minute")


async def test_token_counts_that_wait_are_bounded_in_bytes(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.heartbeat([], {"context": 64}, slots=1)
    monkeypatch.setattr(token_count, "MAX_WAITING_BYTES", 30_000)
    for length in (20_000, 20_000):
        await turn_client.counts._put(make_turn("x" * length), "count_1", compact=False)
    with pytest.raises(Overloaded, match="Too many token counts"):
        await turn_client.counts._put(make_turn(), "count_2", compact=False)

    assert await redis.llen(keys.count_requests(MODEL)) == 2  # type: ignore[misc]


def a_file(id: str, size: int, owner: str = "ann") -> File:
    return File(
        id=id,
        owner=owner,
        filename="f",
        purpose="batch",
        bytes=size,
        created_at=1,
        expires_at=2,
    )


async def test_files_are_limited_in_bytes_and_give_them_back(
    redis: Redis, calls: RedisCalls
) -> None:
    files = Files(redis, calls)
    ids = [new_file_id() for _ in range(3)]
    most = 2 * (1000 + RECORD_BYTES)
    for _ in range(2):
        # Added again, a file counts once.
        await files.add(a_file(ids[0], 1000), most_bytes=most)
    await files.add(a_file(ids[1], 1000), most_bytes=most)
    await refuse(files.add(a_file(ids[2], 1), most_bytes=most), "file_bytes")
    await refuse(files.reserve(ids[2], "ann", 1, most_bytes=most), "file_bytes")
    await files.add(a_file(ids[2], 1, owner="bob"), most_bytes=most)
    # The results of a batch are kept in any case.
    result = a_file(new_file_id(), 5000)
    await files.add(result)

    for file in (result, a_file(ids[0], 1000)):
        for _ in range(2):
            await files.forget(file)

    await files.reserve(ids[0], "ann", 1000, most_bytes=most)
    await files.add(a_file(ids[0], 1000), most_bytes=most)
    for id in ids[:2]:
        await files.forget(a_file(id, 1000))
    assert not await redis.exists(keys.file_sizes("ann"))


async def test_an_upload_counts_until_it_is_added_or_released_or_its_node_is_gone(
    redis: Redis, calls: RedisCalls
) -> None:
    files = Files(redis, calls)
    added, released, lost, last = (new_file_id() for _ in range(4))
    most = 3 * (1000 + RECORD_BYTES)
    for id in (added, released, lost):
        await files.reserve(id, "ann", 500, most_bytes=most)
        await files.reserve(id, "ann", 1000, most_bytes=most)
    await refuse(files.reserve(last, "ann", 1, most_bytes=most), "file_bytes")

    await files.add(a_file(added, 900), most_bytes=most)
    await files.release(released, "ann")
    await redis.zadd(keys.uploads("ann"), {lost: 1})

    await files.reserve(last, "ann", 2000, most_bytes=most)
    sizes: dict[bytes, bytes] = await redis.hgetall(keys.file_sizes("ann"))  # type: ignore[misc]
    assert {id.decode(): int(size) - RECORD_BYTES for id, size in sizes.items()} == {
        added: 900,
        last: 2000,
        "total": 2900 + RECORD_BYTES,
    }


async def test_batches_that_have_not_ended_are_limited(
    redis: Redis, calls: RedisCalls, settings: TurnSettings
) -> None:
    limits = CurrentLimits(limited_settings(settings, "batches=2").limits)
    store = BatchStore(redis, calls, settings, limits)
    first = await store.create("ann", PLAN, "one")
    await store.create("ann", PLAN, "two")
    await refuse(store.create("ann", PLAN, "three"), "batches")
    assert (await store.create("ann", PLAN, "one")).id == first.id
    await store.create("bob", PLAN, None)
    taken = await store.take()
    assert taken is not None
    assert taken.owner == "ann"

    await store.end(taken, Status.COMPLETED, 60)

    await store.create("ann", PLAN, "three")
    await refuse(store.create("ann", PLAN, "four"), "batches")
    # One that was lost with the data of Redis does not count.
    await redis.delete(keys.batch((await store.create("ann", PLAN, "three")).id))
    await store.create("ann", PLAN, "four")
