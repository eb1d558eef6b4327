"""Batch turns are preempted when other turns wait, except for one slot."""

from collections.abc import Iterator

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, slices, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.connection import connect
from turnstream.turns.log import Append, Log, Requeued, Verdict
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Tier

SLOTS = 3


@pytest.fixture
def told(settings: TurnSettings) -> Iterator[list[str]]:
    """The worker's control channel; read it with `hear`."""
    client: SyncRedis = connect(settings.redis_url)
    heard: list[str] = []
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.worker_channel(MODEL, "w0"))
        pubsub.get_message(timeout=1)
        heard_by[id(heard)] = pubsub
        yield heard
    client.close()


heard_by: dict[int, object] = {}


def hear(told: list[str]) -> list[str]:
    """Return the commands that were published so far."""
    pubsub = heard_by[id(told)]
    while message := pubsub.get_message(timeout=0.05):  # type: ignore[attr-defined]
        told.append(message["data"].decode())
    return told


async def saturate(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    *,
    slots: int = SLOTS,
    tier: Tier = "batch",
) -> list[Claimed]:
    """Fill every slot of the one worker, and leave as many turns queued."""
    queue.heartbeat([], {}, slots=slots)
    for _ in range(2 * slots):
        await submitted(turn_client, make_turn(tier, tier=tier, owner="bulk"))
    running = [claimed for n in range(slots) if (claimed := queue.claim(slots - n)) is not None]
    # A pause in between, so that their order by time is certain.
    for n, claimed in enumerate(running if tier == "batch" else []):
        queue._client.zincrby(keys.preemptible(MODEL), n - slots, claimed.id)
    return running


def handing_on(claimed: Claimed, seq: int) -> Append:
    return Append(
        id=claimed.id, attempt=claimed.attempt, first=seq + 1, entries=(), final=Requeued()
    )


async def test_each_waiting_turn_preempts_one_slot_the_latest_first_and_one_remains(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, told: list[str]
) -> None:
    first, second, third = await saturate(turn_client, queue, make_turn)

    await submitted(turn_client, make_turn())
    assert hear(told) == [f"preempt {third.id}"]
    await submitted(turn_client, make_turn(tier="flex"))
    assert hear(told) == [f"preempt {third.id}", f"preempt {second.id}"]
    await submitted(turn_client, make_turn())
    assert len(hear(told)) == 2

    running = [(claimed.id, 1) for claimed in (first, second, third)]
    statuses = queue.heartbeat(running, {}, slots=SLOTS)
    assert statuses == [LeaseStatus.OK, LeaseStatus.PREEMPT, LeaseStatus.PREEMPT]
    assert len(hear(told)) == 2


async def test_a_preempted_slot_goes_to_the_waiting_turn_and_the_batch_turn_continues_from_its_log(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    log.append([slices(last.id, first=3, texts=["a", "b"])])
    person = await submitted(turn_client, make_turn())

    assert log.append([handing_on(last, 4)]) == [Verdict.OK]
    assert log.append([handing_on(last, 4)]) == [Verdict.STALE]

    assert [(claimed := queue.claim(1)) and claimed.id] == [person.id]
    again = queue.claim(1)
    assert again is not None
    assert (again.id, again.attempt, again.seq, again.token_ids) == (last.id, 2, 4, (3, 4))
    assert await redis.hget(keys.turn(last.id), "requeues") == b"1"
    assert await redis.zscore(keys.leases(), last.id) is not None


async def test_no_second_slot_is_preempted_for_a_turn_that_has_a_free_slot(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, told: list[str]
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    await submitted(turn_client, make_turn())
    log.append([handing_on(last, 2)])

    queue.heartbeat([], {}, slots=SLOTS)

    assert len(hear(told)) == 1


@pytest.mark.parametrize("tier", ["flex", "default", "priority"])
async def test_only_batch_turns_are_preempted(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, told: list[str], tier: Tier
) -> None:
    await saturate(turn_client, queue, make_turn, tier=tier)

    await submitted(turn_client, make_turn(tier="priority"))

    assert hear(told) == []


async def test_nothing_is_preempted_for_a_batch_or_while_a_slot_is_free(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, told: list[str]
) -> None:
    await saturate(turn_client, queue, make_turn)
    await submitted(turn_client, make_turn(tier="batch"))
    queue.heartbeat([], {}, slots=SLOTS)
    while queue.claim(2) is not None:
        pass
    await submitted(turn_client, make_turn())

    assert hear(told) == ["wake_up"]


async def test_with_one_slot_a_batch_turn_runs_for_the_minimum_time_before_it_is_preempted(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, told: list[str], redis: Redis
) -> None:
    [only] = await saturate(turn_client, queue, make_turn, slots=1)
    await submitted(turn_client, make_turn())
    assert queue.heartbeat([(only.id, 1)], {}, slots=1) == [LeaseStatus.OK]

    await redis.zincrby(keys.preemptible(MODEL), -1000, only.id)

    assert queue.heartbeat([(only.id, 1)], {}, slots=1) == [LeaseStatus.PREEMPT]
    assert hear(told) == [f"preempt {only.id}"]


async def test_a_batch_that_has_a_slot_gets_no_second_one_from_the_minimum_share(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    await saturate(turn_client, queue, make_turn)
    for _ in range(20):
        await submitted(turn_client, make_turn())

    tiers = [claimed.messages[-1].text for _ in range(16) if (claimed := queue.claim(1))]

    assert "batch" not in tiers


async def test_slots_of_a_lost_worker_are_no_longer_preemptible(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    lost = await saturate(turn_client, queue, make_turn)
    await submitted(turn_client, make_turn())
    await redis.zadd(keys.leases(), {claimed.id: 1 for claimed in lost})

    assert len(queue.sweep()) == SLOTS

    assert await redis.zcard(keys.preemptible(MODEL)) == 0
    assert await redis.zcard(keys.preempted(MODEL)) == 0


async def test_a_preempted_slot_is_assigned_before_it_is_free_once_and_not_to_a_batch(
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    told: list[str],
    redis: Redis,
) -> None:
    *_, second, third = await saturate(turn_client, queue, make_turn)
    assert queue.claim(0, preempted=third.id) is None, "only a batch waits"
    people = [await submitted(turn_client, make_turn(owner=f"p{n}")) for n in range(3)]
    assert hear(told) == [f"preempt {third.id}", f"preempt {second.id}"]

    taken = [queue.claim(0, preempted=id) for id in (third.id, third.id, second.id)]

    assert [claimed and claimed.id for claimed in taken] == [people[0].id, None, people[1].id]
    # Neither slot becomes free by this: both have been assigned.
    log.append([handing_on(third, 2), handing_on(second, 2)])
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"0"
    assert await redis.zcard(keys.preempted(MODEL)) == 0


async def test_a_slot_whose_turn_was_requeued_is_assigned_only_as_a_free_one(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    person = await submitted(turn_client, make_turn())
    log.append([handing_on(last, 2)])

    assert queue.claim(0, preempted=last.id) is None
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"1"
    assert [(claimed := queue.claim(1)) and claimed.id] == [person.id]


async def test_a_batch_turn_that_redis_has_lost_blocks_no_submit(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, told: list[str], redis: Redis
) -> None:
    _, second, third = await saturate(turn_client, queue, make_turn)
    await redis.delete(keys.turn(third.id))

    await submitted(turn_client, make_turn())

    assert hear(told) == [f"preempt {second.id}"]
    assert await redis.zscore(keys.preemptible(MODEL), third.id) is None
