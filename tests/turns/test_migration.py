"""Data that a release without a record version stored is migrated, and a conversation goes on."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.migration import migrate
from turnstream.turns.queue import TurnQueue
from turnstream.turns.record import VERSION
from turnstream.turns.settings import TurnSettings

ENDED, WAITING = "resp_" + "a" * 32, "resp_" + "b" * 32
NOW = 1_800_000_000_000
RESPONSE = '"id":"x"}'


async def store_as_before(redis: "Redis[Any]", model: str = MODEL) -> None:
    """Write an ended turn, a turn that waits and continues it, and a batch, as ea4a9fa did."""
    common = {"owner": "ann", "model": model, "tier": "default", "store": 1, "seq": 1, "attempt": 0}
    common |= {"request": '{"sampling":{}}', "response": RESPONSE, "nodes": "node-0"}
    ended = common | {"status": "completed", "parent": "", "input": '[["user","Hi"]]'}
    ended |= {"output": "Hello", "error": "null", "attempt": 1, "handed": 1, "ran": 5, "began": NOW}
    ended |= {"member": f"00000000000001:{ENDED}", "since": NOW, "cost": 3}
    await redis.hset(f"ts:turn:{ENDED}", mapping=ended)  # type: ignore[misc]
    await redis.expire(f"ts:turn:{ENDED}", 1000)
    member = f"00000000000002:{WAITING}"
    waiting = common | {"status": "queued", "parent": ENDED, "input": '[["user","And?"]]'}
    waiting |= {"member": member, "since": NOW, "told": "1 1 null 0", "told_at": NOW}
    await redis.hset(f"ts:turn:{WAITING}", mapping=waiting)  # type: ignore[misc]
    await redis.expire(f"ts:turn:{WAITING}", 1000)
    await redis.zadd(f"ts:line:{model}:default", {member: 1})
    await redis.set("ts:arrivals", 2)
    await redis.sadd("ts:asked", model)  # type: ignore[misc]
    await redis.hset("ts:once:ann:k", mapping={"id": WAITING, "body": "And?"})  # type: ignore[misc]
    await redis.hset(f"ts:rows:{model}", "w9", 4)  # type: ignore[misc]
    await redis.hset(f"ts:pace:{model}", "rate:light:default", 1)  # type: ignore[misc]
    await redis.hset("ts:job:batch_1", mapping={"owner": "ann", "body": "b"})  # type: ignore[misc]
    await redis.zadd("ts:jobs:ann", {"batch_1": 1})
    await redis.zadd("ts:job-leases", {"batch_1": 9e15})


async def test_a_conversation_continues_from_records_of_the_previous_release(
    settings: TurnSettings, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    await store_as_before(redis)

    async with open_client(settings, "node-1") as turn_client:
        claimed = queue.claim(1)
        assert claimed is not None
        assert claimed.id == WAITING
        assert [message.text for message in claimed.messages] == ["Hi", "Hello", "And?"]

        await submitted(turn_client, make_turn("Next", previous_response_id=ENDED))
        claimed = queue.claim(1)
        assert claimed is not None
        assert [message.text for message in claimed.messages] == ["Hi", "Hello", "Next"]

        async with turn_client.submit(make_turn("And?", key="k")) as follower:
            assert follower.turn_id == WAITING


async def test_every_key_and_field_gets_its_new_name_and_keeps_its_expiry(redis: Redis) -> None:
    await store_as_before(redis)

    await migrate(redis)

    old = ("line", "rows", "once", "job", "jobs", "job-leases", "asked", "pace")
    left = [key.decode() async for key in redis.scan_iter("ts:*")]
    assert [key for key in left if key.split(":")[1] in old] == []
    record = await redis.hgetall(keys.turn(WAITING))  # type: ignore[misc]
    assert record[b"previous_response_id"] == ENDED.encode()
    assert record[b"version"] == str(VERSION).encode()
    assert {b"parent", b"member", b"since", b"told", b"told_at"} & set(record) == set()
    first = await redis.hgetall(keys.turn(ENDED))  # type: ignore[misc]
    assert b"previous_response_id" not in first
    assert (first[b"requeues"], first[b"running_ms"], first[b"reserved_tokens"]) == (
        b"1",
        b"5",
        b"3",
    )
    assert 0 < await redis.ttl(keys.turn(ENDED)) <= 1000
    assert await redis.hget(keys.batch("batch_1"), "fingerprint") == b"b"  # type: ignore[misc]
    assert await redis.zrange(keys.batches("ann"), 0, -1) == [b"batch_1"]


async def test_nodes_that_start_together_migrate_everything_once(
    settings: TurnSettings, redis: Redis
) -> None:
    for number in range(30):
        await store_as_before(redis, f"model-{number}")

    async def start(node: str) -> None:
        async with open_client(settings, node):
            pass

    await asyncio.gather(*(start(f"node-{number}") for number in range(3)))

    assert await redis.get(keys.version()) == str(VERSION).encode()
    for number in range(30):
        assert await redis.zcard(keys.queue(f"model-{number}", "default")) == 1


async def test_data_that_is_migrated_is_not_scanned_again(
    turn_client: TurnClient, redis: Redis
) -> None:
    await redis.set("ts:asked", "left alone")

    await migrate(redis)

    assert await redis.get("ts:asked") == b"left alone"


async def test_records_of_version_2_are_read_as_they_are_and_not_migrated_again(
    settings: TurnSettings, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    await redis.set(keys.version(), 2)
    # As release 2 wrote it: an ended turn, with the fields that continuing it reads.
    ended = {"version": 2, "owner": "ann", "model": MODEL, "tier": "default", "status": "completed"}
    ended |= {"attempt": 1, "seq": 9, "store": 1, "request": '{"sampling":{}}', "nodes": "node-0"}
    ended |= {"input": '[["system", "Be kind."], ["user", "Hi"]]', "output": "Hello"}
    await redis.hset(keys.turn(ENDED), mapping=ended | {"response": RESPONSE})  # type: ignore[misc]
    # A key that only the first migration would rename.
    await redis.set("ts:asked", "left alone")

    async with open_client(settings, "node-1") as turn_client:
        await submitted(turn_client, make_turn("And?", previous_response_id=ENDED))
        claimed = queue.claim(1)

    assert claimed is not None
    assert [message.text for message in claimed.messages] == ["Be kind.", "Hi", "Hello", "And?"]
    assert await redis.get(keys.version()) == str(VERSION).encode()
    assert await redis.get("ts:asked") == b"left alone"
    assert await redis.hget(keys.turn(ENDED), "version") == b"2"  # type: ignore[misc]


async def test_records_of_version_2_are_read_as_they_are(
    settings: TurnSettings, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async with open_client(settings, "node-1") as turn_client:
        turn = await submitted(turn_client, make_turn("Hi"))
    await redis.hset(keys.turn(turn.id), "version", 2)  # type: ignore[misc]
    await redis.set(keys.version(), 2)
    before = await redis.hgetall(keys.turn(turn.id))  # type: ignore[misc]

    await migrate(redis)

    assert await redis.hgetall(keys.turn(turn.id)) == before  # type: ignore[misc]
    claimed = queue.claim(1)
    assert claimed is not None
    assert (claimed.id, claimed.logprobs) == (turn.id, ())
