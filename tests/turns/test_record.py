"""Records: transitions of a turn's status, and records that a newer release wrote."""

import logging
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from tests.turns.batch_values import PLAN
from tests.turns.conftest import MODEL, MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import NewerVersion
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.record import DESCRIPTION_VERSION, TRANSITIONS, VERSION, TurnRecord

NEWER = VERSION + 1


def test_the_transitions_name_only_known_statuses_and_end_ones_lead_nowhere() -> None:
    known = {status for status in TRANSITIONS if status is not None}
    assert {to for following in TRANSITIONS.values() for to in following} == known
    assert {status for status in known if not TRANSITIONS[status]} == known - {
        "queued",
        "in_progress",
    }


async def test_a_turn_has_only_fields_that_are_listed_and_follows_the_transitions(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    seen: list[str] = []

    async def look() -> None:
        record = await redis.hgetall(keys.turn(turn.id))  # type: ignore[misc]
        assert {name.decode() for name in record} <= set(TurnRecord.__annotations__)
        assert record[b"version"] == str(VERSION).encode()
        seen.append(record[b"status"].decode())

    turn = await submitted(turn_client, make_turn())
    await look()
    claimed = queue.claim(1)
    assert claimed is not None
    await look()
    log.append([ending(turn.id, first=claimed.seq + 1)])
    await look()

    states = [None, *seen]
    assert all(to in TRANSITIONS[was] for was, to in zip(states, seen, strict=False))  # type: ignore[index]
    assert seen == ["queued", "in_progress", "completed"]


async def test_a_worker_passes_over_a_newer_turn_and_claims_the_one_behind_it(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    redis: Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    newer = await submitted(turn_client, make_turn(owner="ann"))
    other = await submitted(turn_client, make_turn(owner="bob"))
    await redis.hset(keys.turn(newer.id), "version", NEWER)  # type: ignore[misc]
    before = await redis.hgetall(keys.turn(newer.id))  # type: ignore[misc]
    place = await redis.zrange(keys.queue(MODEL, "default"), 0, 0, withscores=True)

    with caplog.at_level(logging.WARNING):
        claimed = queue.claim(2)
        assert claimed is not None
        assert claimed.id == other.id
        assert queue.claim(1) is None

    assert await redis.hgetall(keys.turn(newer.id)) == before  # type: ignore[misc]
    assert await redis.zrange(keys.queue(MODEL, "default"), 0, 0, withscores=True) == place
    assert [record.message for record in caplog.records if newer.id in record.message] == [
        f"{newer.id}: left alone, a newer release wrote its record: upgrade this process"
    ]
    await redis.hset(keys.turn(newer.id), "version", VERSION)  # type: ignore[misc]
    understood = queue.claim(1)
    assert understood is not None
    assert understood.id == newer.id


async def test_a_sweep_leaves_newer_turns_alone_and_handles_the_others(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    newer = await submitted(turn_client, make_turn())
    other = await submitted(turn_client, make_turn())
    await redis.hset(keys.turn(newer.id), "version", NEWER)  # type: ignore[misc]
    await redis.zadd(keys.deadlines(), {newer.id: 1, other.id: 2})

    queue.sweep()

    assert await redis.hget(keys.turn(newer.id), "status") == b"queued"  # type: ignore[misc]
    assert await redis.hget(keys.turn(other.id), "status") == b"failed"  # type: ignore[misc]
    assert await redis.zrange(keys.deadlines(), 0, -1) == [newer.id.encode()]


async def test_a_node_refuses_to_read_a_newer_turn(
    turn_client: TurnClient, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn())
    await redis.hset(keys.turn(turn.id), "version", NEWER)  # type: ignore[misc]

    async def follow() -> None:
        async with turn_client.follow(turn.id, turn.owner, after=-1):
            pass

    async def continue_it() -> None:
        await submitted(turn_client, make_turn(previous_response_id=turn.id))

    stored = turn_client.stored
    attempts: list[Callable[[], object]] = [
        follow,
        continue_it,
        lambda: turn_client.cancel(turn.id, turn.owner),
        lambda: stored.response(turn.id, turn.owner),
        lambda: stored.input_of(turn.id, turn.owner),
        lambda: stored.delete(turn.id, turn.owner),
    ]
    for attempt in attempts:
        with pytest.raises(NewerVersion) as caught:
            await attempt()  # type: ignore[misc]
        assert (caught.value.code, caught.value.status) == ("newer_version", 503)
    assert await redis.hget(keys.turn(turn.id), "status") == b"queued"  # type: ignore[misc]


async def test_a_newer_batch_is_left_to_nodes_that_can_read_it(
    store: BatchStore, redis: Redis
) -> None:
    newer = await store.create("ann", PLAN, None)
    other = await store.create("ann", PLAN, None)
    await redis.hset(keys.batch(newer.id), "version", NEWER)  # type: ignore[misc]

    taken = await store.take()

    assert taken is not None
    assert taken.id == other.id
    assert await store.take() is None
    with pytest.raises(NewerVersion):
        await store.get(newer.id, "ann")


async def test_a_model_described_by_a_newer_release_is_left_out(
    turn_client: TurnClient, queue: TurnQueue, redis: Redis
) -> None:
    about = {
        "version": DESCRIPTION_VERSION,
        "created": 1,
        "context": 9,
        "temperature": 1.0,
        "top_p": 1.0,
    }
    queue.heartbeat([], about, slots=1)
    await redis.hset(keys.models(), "next", f'{{"version":{DESCRIPTION_VERSION + 1}}}')  # type: ignore[misc]

    assert await turn_client.models.all() == {MODEL: about}
