"""Which turn a claim returns, and how turns of a lost worker are requeued."""

import dataclasses
import json
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, ending, slices, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.log import Log
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message

MakeQueue = Callable[..., TurnQueue]


async def claimed_texts(queue: TurnQueue) -> list[str]:
    texts = []
    while (claimed := queue.claim(1)) is not None:
        texts.append(claimed.messages[-1].text)
    return texts


async def test_a_better_tier_goes_first(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    for tier in ("batch", "flex", "default", "priority"):
        await submitted(turn_client, make_turn(tier, tier=tier))

    assert await claimed_texts(queue) == ["priority", "default", "flex", "batch"]


async def test_a_claim_says_whether_other_turns_wait_in_any_tier(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    for tier in ("default", "default", "flex"):
        await submitted(turn_client, make_turn(tier=tier))

    assert [(queue.claim(1) is not None, queue.others_wait) for _ in range(3)] == [
        (True, True),
        (True, True),
        (True, False),
    ]


@pytest.mark.parametrize("tier", ["priority", "default", "flex", "batch"])
async def test_a_claim_returns_the_tier_that_the_turn_was_submitted_in(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, tier: str
) -> None:
    await submitted(turn_client, make_turn(tier=tier))
    claimed = queue.claim(1)
    assert claimed is not None
    assert claimed.tier == tier
    assert claimed.owner == "ann"


@pytest.mark.parametrize(("slots", "every"), [(4, 8), (8, 8), (10, 10)])
async def test_one_claim_in_eight_or_in_the_number_of_slots_goes_to_the_lower_tiers_alternately(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, slots: int, every: int
) -> None:
    queue.heartbeat([], {}, slots=slots)
    for tier in ("priority", "flex", "batch"):
        for _ in range(2 * every):
            await submitted(turn_client, make_turn(tier, tier=tier))

    texts = [claimed.messages[-1].text for _ in range(3 * every) if (claimed := queue.claim(1))]

    lower_tiers = {
        n: text for n, text in enumerate(texts, 1) if text != "priority" and n < 2 * every
    }
    assert lower_tiers == {every: "batch"}
    assert texts[2 * every - 1] == "flex"


@pytest.mark.parametrize("tier", ["priority", "default", "flex", "batch"])
async def test_the_announced_position_is_the_number_of_the_claim_that_takes_the_turn(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, tier: str
) -> None:
    for waiting in ("priority", "batch"):
        for _ in range(30):
            await submitted(turn_client, make_turn(waiting, tier=waiting))
    told = make_turn(tier=tier, owner="bob")
    await submitted(turn_client, told)
    place = json.loads(await turn_client.stored.response(told.id, "bob"))["queue"]["position"]

    claims = 1
    while (claimed := queue.claim(1)) is not None and claimed.id != told.id:
        claims += 1
        log.append([ending(claimed.id, first=claimed.seq + 1)])

    # Two lower tiers have the minimum share, in an order that the position does not predict.
    assert abs(claims - place) <= (8 if tier in ("default", "flex") else 0)


async def test_turns_of_owners_alternate(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    for text in ("a1", "a2", "a3"):
        await submitted(turn_client, make_turn(text, owner="ann"))
    for text in ("b1", "b2"):
        await submitted(turn_client, make_turn(text, owner="bob"))

    assert await claimed_texts(queue) == ["a1", "b1", "a2", "b2", "a3"]


async def test_equal_tags_keep_their_order_of_arrival(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    texts = [f"t{i}" for i in range(30)]
    for text in texts:
        await submitted(turn_client, make_turn(text, owner=text))

    assert await claimed_texts(queue) == texts


async def test_an_owner_that_was_idle_gets_no_credit(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    for text in ("a1", "a2", "a3"):
        await submitted(turn_client, make_turn(text, owner="ann"))
    queue.claim(1)
    queue.claim(1)
    await submitted(turn_client, make_turn("b1", owner="bob"))
    await submitted(turn_client, make_turn("b2", owner="bob"))

    assert await claimed_texts(queue) == ["a3", "b1", "b2"]


async def test_a_turn_is_claimed_once(
    turn_client: TurnClient, make_queue: MakeQueue, make_turn: MakeTurn
) -> None:
    await submitted(turn_client, make_turn())

    claims = [make_queue(f"w{i}").claim(1) for i in range(3)]

    assert [claim is not None for claim in claims] == [True, False, False]


async def test_a_claim_whose_reply_was_lost_returns_the_same_turn_again(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = await submitted(turn_client, make_turn("first"))
    await submitted(turn_client, make_turn("second"))
    queue._nonce = "lost"
    first = queue.claim(2)
    queue._nonce = "lost"

    again = queue.claim(2)

    assert first is not None
    assert first.id == turn.id
    assert again == first


async def test_a_claim_records_the_remaining_free_slots(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.claim(4)
    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"4"
    await submitted(turn_client, make_turn())

    queue.claim(4)

    assert await redis.hget(keys.free_slots(MODEL), "w0") == b"3"


async def test_a_claim_returns_the_whole_conversation(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    parent = None
    for question, answer in (("one?", "One."), ("two?", "Two.")):
        turn = await submitted(turn_client, make_turn(question, previous_response_id=parent))
        queue.claim(1)
        log.append([ending(turn.id, first=3, text=answer)])
        parent = turn.id
    await submitted(turn_client, make_turn("three?", previous_response_id=parent))

    claimed = queue.claim(1)

    assert claimed is not None
    assert claimed.messages == (
        Message("user", "one?"),
        Message("assistant", "One."),
        Message("user", "two?"),
        Message("assistant", "Two."),
        Message("user", "three?"),
    )


@pytest.fixture
def short(settings: TurnSettings) -> TurnSettings:
    """Settings whose leases expire at once."""
    return dataclasses.replace(settings, lease_seconds=0.0)


async def test_a_lost_turn_goes_to_the_head_of_its_queue_and_continues_from_its_log(
    turn_client: TurnClient,
    make_queue: MakeQueue,
    log: Log,
    make_turn: MakeTurn,
    short: TurnSettings,
) -> None:
    turn = await submitted(turn_client, make_turn("lost"))
    dead = make_queue("w0", short)
    dead.claim(1)
    log.append([slices(turn.id, first=3, texts=["a", "b"])])
    await submitted(turn_client, make_turn("waiting"))
    living = make_queue("w1")

    assert living.sweep() == [turn.id]
    taken = living.claim(1)

    assert taken is not None
    assert (taken.id, taken.attempt, taken.seq, taken.token_ids) == (turn.id, 2, 4, (3, 4))


async def test_a_lost_turn_is_requeued_once(
    turn_client: TurnClient,
    make_queue: MakeQueue,
    make_turn: MakeTurn,
    short: TurnSettings,
    redis: Redis,
) -> None:
    await submitted(turn_client, make_turn())
    make_queue("w0", short).claim(1)
    queue = make_queue("w1")

    moved = queue.sweep() + queue.sweep()

    assert len(moved) == 1
    assert await redis.zcard(keys.queue(MODEL, "default")) == 1


async def test_a_turn_that_had_all_its_attempts_ends_as_failed(
    turn_client: TurnClient, make_queue: MakeQueue, make_turn: MakeTurn, short: TurnSettings
) -> None:
    once = dataclasses.replace(short, max_attempts=1)
    queue = make_queue("w0", once)
    async with turn_client.submit(make_turn()) as follower:
        queue.claim(1)
        queue.sweep()
        events = [event async for batch in follower.batches() for event in batch]

    assert b'"type":"response.failed","sequence_number":3' in events[-1]
    assert b'"status":"failed","error":{"code":"server_error"' in events[-1]
    assert queue.claim(1) is None


async def test_a_heartbeat_renews_the_lease_and_reports_a_turn_claimed_by_another_worker(
    turn_client: TurnClient, make_queue: MakeQueue, make_turn: MakeTurn, short: TurnSettings
) -> None:
    turn = await submitted(turn_client, make_turn())
    make_queue("w0", short).claim(1)
    queue = make_queue("w0")

    assert queue.heartbeat([(turn.id, 1)], {}, slots=4) == [LeaseStatus.OK]
    assert queue.sweep() == []
    assert queue.heartbeat([(turn.id, 2), ("resp_gone", 1)], {}, slots=4) == [
        LeaseStatus.LOST,
        LeaseStatus.LOST,
    ]


async def test_a_worker_that_unregistered_is_neither_woken_up_nor_counted(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.heartbeat([], {}, slots=4)
    queue.claim(4)
    queue.unregister()

    async with turn_client.submit(make_turn()) as follower:
        events = await anext(follower.batches())

    assert b'"workers":0' in events[1]
    assert await redis.llen(f"turns.{MODEL}.w0") == 0
