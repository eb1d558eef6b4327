"""Batch turns are preempted when other turns wait, except for one slot."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from redis.client import PubSub

from tests.turns.conftest import MODEL, MakeTurn, slices, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.connection import connect
from turnstream.turns.log import Append, Log, Requeued, Verdict
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Tier

SLOTS = 3


@dataclass(slots=True)
class Commands:
    """A subscription to the worker's control channel."""

    pubsub: PubSub
    received: list[str] = field(default_factory=list)

    def read(self) -> list[str]:
        """Return all commands that have been published since the subscription."""
        self.pubsub.ping()  # what was published before it arrives before its answer
        while message := self.pubsub.get_message(timeout=30):
            if message["type"] == "pong":
                return self.received
            self.received.append(message["data"].decode())
        raise AssertionError("Redis does not answer")


@pytest.fixture
def commands(settings: TurnSettings) -> Iterator[Commands]:
    with (
        connect(settings.redis_url) as client,
        client.pubsub(ignore_subscribe_messages=True) as pubsub,
    ):
        pubsub.subscribe(keys.worker_channel(MODEL, "w0"))
        pubsub.get_message(timeout=30)
        yield Commands(pubsub)


async def saturate(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    *,
    slots: int = SLOTS,
    tier: Tier = "batch",
) -> list[Claimed]:
    """Fill every slot of the only worker and leave as many turns in the queue."""
    queue.heartbeat([], {}, slots=slots)
    for _ in range(2 * slots):
        await submitted(turn_client, make_turn(tier, tier=tier, owner="bulk"))
    running = [claimed for n in range(slots) if (claimed := queue.claim(slots - n)) is not None]
    # Distinct start times, so that the order in which they are preempted is certain.
    for n, claimed in enumerate(running if tier == "batch" else []):
        queue._client.zincrby(keys.preemptible(MODEL), n - slots, claimed.id)
    return running


def requeued(claimed: Claimed, seq: int) -> Append:
    return Append(
        id=claimed.id, attempt=claimed.attempt, first=seq + 1, entries=(), final=Requeued()
    )


async def test_each_waiting_turn_preempts_one_slot_the_latest_first_and_one_remains(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, commands: Commands
) -> None:
    first, second, third = await saturate(turn_client, queue, make_turn)

    await submitted(turn_client, make_turn())
    assert commands.read() == [f"preempt {third.id}"]
    await submitted(turn_client, make_turn(tier="flex"))
    assert commands.read() == [f"preempt {third.id}", f"preempt {second.id}"]
    await submitted(turn_client, make_turn())
    assert len(commands.read()) == 2

    running = [(claimed.id, 1) for claimed in (first, second, third)]
    statuses = queue.heartbeat(running, {}, slots=SLOTS)
    assert statuses == [LeaseStatus.OK, LeaseStatus.PREEMPT, LeaseStatus.PREEMPT]
    assert len(commands.read()) == 2


async def test_a_preempted_slot_goes_to_the_waiting_turn_and_the_batch_turn_continues_from_its_log(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    log.append([slices(last.id, first=3, texts=["a", "b"])])
    interactive = await submitted(turn_client, make_turn())

    assert log.append([requeued(last, 4)]) == [Verdict.OK]
    assert log.append([requeued(last, 4)]) == [Verdict.STALE]

    assert [(claimed := queue.claim(1)) and claimed.id] == [interactive.id]
    again = queue.claim(1)
    assert again is not None
    assert (again.id, again.attempt, again.seq, again.token_ids) == (last.id, 2, 4, (3, 4))
    assert await redis.hget(keys.turn(last.id), "requeues") == b"1"
    assert await redis.zscore(keys.leases(), last.id) is not None


async def test_no_second_slot_is_preempted_for_a_turn_that_has_a_free_slot(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, commands: Commands
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    await submitted(turn_client, make_turn())
    log.append([requeued(last, 2)])

    queue.heartbeat([], {}, slots=SLOTS)

    assert len(commands.read()) == 1


@pytest.mark.parametrize("tier", ["flex", "default", "priority"])
async def test_only_batch_turns_are_preempted(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, commands: Commands, tier: Tier
) -> None:
    await saturate(turn_client, queue, make_turn, tier=tier)

    await submitted(turn_client, make_turn(tier="priority"))

    assert commands.read() == []


async def test_nothing_is_preempted_for_a_batch_or_while_a_slot_is_free(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, commands: Commands
) -> None:
    await saturate(turn_client, queue, make_turn)
    await submitted(turn_client, make_turn(tier="batch"))
    queue.heartbeat([], {}, slots=SLOTS)
    while queue.claim(2) is not None:
        pass
    await submitted(turn_client, make_turn())

    assert commands.read() == ["wake_up"]


async def test_with_one_slot_a_batch_turn_runs_for_the_minimum_time_before_it_is_preempted(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, commands: Commands, redis: Redis
) -> None:
    [only] = await saturate(turn_client, queue, make_turn, slots=1)
    await submitted(turn_client, make_turn())
    assert queue.heartbeat([(only.id, 1)], {}, slots=1) == [LeaseStatus.OK]

    await redis.zincrby(keys.preemptible(MODEL), -1000, only.id)

    assert queue.heartbeat([(only.id, 1)], {}, slots=1) == [LeaseStatus.PREEMPT]
    assert commands.read() == [f"preempt {only.id}"]


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
    commands: Commands,
    redis: Redis,
) -> None:
    *_, second, third = await saturate(turn_client, queue, make_turn)
    assert queue.claim(0, preempted=third.id) is None, "only a batch waits"
    waiting = [await submitted(turn_client, make_turn(owner=f"p{n}")) for n in range(3)]
    assert commands.read() == [f"preempt {third.id}", f"preempt {second.id}"]

    taken = [queue.claim(0, preempted=id) for id in (third.id, third.id, second.id)]

    assert [claimed and claimed.id for claimed in taken] == [waiting[0].id, None, waiting[1].id]
    # Neither slot becomes free by this: both have been assigned.
    log.append([requeued(third, 2), requeued(second, 2)])
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"0"
    assert await redis.zcard(keys.preempted(MODEL)) == 0


async def test_a_slot_whose_turn_was_requeued_is_assigned_only_as_a_free_one(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(turn_client, queue, make_turn)
    interactive = await submitted(turn_client, make_turn())
    log.append([requeued(last, 2)])

    assert queue.claim(0, preempted=last.id) is None
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"1"
    assert [(claimed := queue.claim(1)) and claimed.id] == [interactive.id]


async def test_a_batch_turn_that_redis_has_lost_blocks_no_submit(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, commands: Commands, redis: Redis
) -> None:
    _, second, third = await saturate(turn_client, queue, make_turn)
    await redis.delete(keys.turn(third.id))

    await submitted(turn_client, make_turn())

    assert commands.read() == [f"preempt {second.id}"]
    assert await redis.zscore(keys.preemptible(MODEL), third.id) is None
