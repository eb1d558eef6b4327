"""Batch turns give their slots back when people wait, and one slot's worth of them goes on."""

from collections.abc import Iterator

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, handed_in, slices
from turnstream.turns import keys
from turnstream.turns.connection import connect
from turnstream.turns.front import Front
from turnstream.turns.log import Append, HandedOn, Log, Verdict
from turnstream.turns.queue import Standing, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Tier

SLOTS = 3


@pytest.fixture
def told(settings: TurnSettings) -> Iterator[list[str]]:
    """What the worker is told on its channel; read it with `hear`."""
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
    """Take in what has been published so far."""
    pubsub = heard_by[id(told)]
    while message := pubsub.get_message(timeout=0.05):  # type: ignore[attr-defined]
        told.append(message["data"].decode())
    return told


async def saturate(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, *, slots: int = SLOTS, tier: Tier = "batch"
) -> list[Claimed]:
    """Fill every slot of the one worker, and leave as many in line."""
    queue.beat([], {}, slots=slots)
    for _ in range(2 * slots):
        await handed_in(front, make_turn(tier, tier=tier, owner="bulk"))
    running = [claimed for n in range(slots) if (claimed := queue.claim(slots - n)) is not None]
    # A moment apart, so that it is known which is the latest.
    for n, claimed in enumerate(running if tier == "batch" else []):
        queue._client.zincrby(keys.lent(MODEL), n - slots, claimed.id)
    return running


def handing_on(claimed: Claimed, seq: int) -> Append:
    return Append(
        id=claimed.id, attempt=claimed.attempt, first=seq + 1, entries=(), final=HandedOn()
    )


async def test_each_person_who_waits_is_given_one_row_the_latest_first_and_one_stays(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, told: list[str]
) -> None:
    first, second, third = await saturate(front, queue, make_turn)

    await handed_in(front, make_turn())
    assert hear(told) == [f"yield {third.id}"]
    await handed_in(front, make_turn(tier="flex"))
    assert hear(told) == [f"yield {third.id}", f"yield {second.id}"]
    await handed_in(front, make_turn())
    assert len(hear(told)) == 2

    running = [(claimed.id, 1) for claimed in (first, second, third)]
    standings = queue.beat(running, {}, slots=SLOTS)
    assert standings == [Standing.OK, Standing.YIELD, Standing.YIELD]
    assert len(hear(told)) == 2


async def test_a_row_given_back_is_the_persons_and_the_batch_turn_goes_on_from_its_log(
    front: Front, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(front, queue, make_turn)
    log.append([slices(last.id, first=3, texts=["a", "b"])])
    person = await handed_in(front, make_turn())

    assert log.append([handing_on(last, 4)]) == [Verdict.OK]
    assert log.append([handing_on(last, 4)]) == [Verdict.STALE]

    assert [(claimed := queue.claim(1)) and claimed.id] == [person.id]
    again = queue.claim(1)
    assert again is not None
    assert (again.id, again.attempt, again.seq, again.ids) == (last.id, 2, 4, (3, 4))
    assert await redis.hget(keys.turn(last.id), "handed") == b"1"
    assert await redis.zscore(keys.leases(), last.id) is not None


async def test_no_second_row_is_called_back_for_a_person_whose_row_is_free_already(
    front: Front, queue: TurnQueue, log: Log, make_turn: MakeTurn, told: list[str]
) -> None:
    *_, last = await saturate(front, queue, make_turn)
    await handed_in(front, make_turn())
    log.append([handing_on(last, 2)])

    queue.beat([], {}, slots=SLOTS)

    assert len(hear(told)) == 1


@pytest.mark.parametrize("tier", ["flex", "default", "priority"])
async def test_only_batch_turns_give_way(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, told: list[str], tier: Tier
) -> None:
    await saturate(front, queue, make_turn, tier=tier)

    await handed_in(front, make_turn(tier="priority"))

    assert hear(told) == []


async def test_nothing_is_called_back_for_a_batch_or_while_a_row_is_free(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, told: list[str]
) -> None:
    await saturate(front, queue, make_turn)
    await handed_in(front, make_turn(tier="batch"))
    queue.beat([], {}, slots=SLOTS)
    while queue.claim(2) is not None:
        pass
    await handed_in(front, make_turn())

    assert hear(told) == []


async def test_with_one_row_a_batch_turn_runs_for_a_moment_before_it_gives_way(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, told: list[str], redis: Redis
) -> None:
    [only] = await saturate(front, queue, make_turn, slots=1)
    await handed_in(front, make_turn())
    assert queue.beat([(only.id, 1)], {}, slots=1) == [Standing.OK]

    await redis.zincrby(keys.lent(MODEL), -1000, only.id)

    assert queue.beat([(only.id, 1)], {}, slots=1) == [Standing.YIELD]
    assert hear(told) == [f"yield {only.id}"]


async def test_a_batch_that_has_a_row_gets_no_second_one_from_the_floor(
    front: Front, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    await saturate(front, queue, make_turn)
    for _ in range(20):
        await handed_in(front, make_turn())

    tiers = [claimed.messages[-1].text for _ in range(16) if (claimed := queue.claim(1))]

    assert "batch" not in tiers


async def test_what_a_lost_worker_had_counts_as_lent_no_more(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    lost = await saturate(front, queue, make_turn)
    await handed_in(front, make_turn())
    await redis.zadd(keys.leases(), {claimed.id: 1 for claimed in lost})

    assert len(queue.sweep()) == SLOTS

    assert await redis.zcard(keys.lent(MODEL)) == 0
    assert await redis.zcard(keys.recalled(MODEL)) == 0


async def test_a_row_may_be_taken_before_it_is_free_by_a_person_and_once(
    front: Front, queue: TurnQueue, log: Log, make_turn: MakeTurn, told: list[str], redis: Redis
) -> None:
    *_, second, third = await saturate(front, queue, make_turn)
    assert queue.claim(0, instead_of=third.id) is None, "only a batch waits"
    people = [await handed_in(front, make_turn(owner=f"p{n}")) for n in range(3)]
    assert hear(told) == [f"yield {third.id}", f"yield {second.id}"]

    taken = [queue.claim(0, instead_of=id) for id in (third.id, third.id, second.id)]

    assert [claimed and claimed.id for claimed in taken] == [people[0].id, None, people[1].id]
    # Neither of the slots is free by this: both have been taken.
    log.append([handing_on(third, 2), handing_on(second, 2)])
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"0"
    assert await redis.zcard(keys.recalled(MODEL)) == 0


async def test_a_row_that_has_been_handed_on_is_taken_as_a_free_one_only(
    front: Front, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    *_, last = await saturate(front, queue, make_turn)
    person = await handed_in(front, make_turn())
    log.append([handing_on(last, 2)])

    assert queue.claim(0, instead_of=last.id) is None
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"1"
    assert [(claimed := queue.claim(1)) and claimed.id] == [person.id]


async def test_a_batch_turn_that_redis_has_lost_stops_nobody_from_coming(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, told: list[str], redis: Redis
) -> None:
    _, second, third = await saturate(front, queue, make_turn)
    await redis.delete(keys.turn(third.id))

    await handed_in(front, make_turn())

    assert hear(told) == [f"yield {second.id}"]
    assert await redis.zscore(keys.lent(MODEL), third.id) is None
