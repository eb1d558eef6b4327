"""A delivery is decided where a turn or a batch ends, and leased for one attempt at a time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import redis.asyncio
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from tests.turns.test_steering import steer
from turnstream.turns import keys, webhook_keys, webhook_outbox
from turnstream.turns.batch import Batch, Status
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import NewerVersion
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.turn import Turn
from turnstream.turns.webhook_events import EVENT_TYPES
from turnstream.turns.webhook_outbox import WebhookOutbox, back_off
from turnstream.turns.webhooks import Endpoint, Webhooks

URL = "https://example.com/hook"
EndTurn = Callable[..., Awaitable[str]]


@pytest.fixture
def webhooks(client: "redis.asyncio.Redis", calls: RedisCalls) -> Webhooks:
    return Webhooks(client, calls)


@pytest.fixture
def outbox(client: "redis.asyncio.Redis") -> WebhookOutbox:
    return WebhookOutbox(client)


@pytest.fixture
async def endpoint(webhooks: Webhooks) -> Endpoint:
    """An endpoint of ann's for all events."""
    return await webhooks.create("ann", name="all", url=URL, event_types=EVENT_TYPES)


@pytest.fixture
def end_turn(turn_client: TurnClient, make_turn: MakeTurn) -> EndTurn:
    """Make a turn and cancel it; return the id of its event."""

    async def end(owner: str = "ann") -> str:
        turn = await submitted(turn_client, make_turn(owner=owner))
        await turn_client.cancel(turn.id, owner)
        return turn.id.replace("resp_", "evt_")

    return end


async def test_a_turn_that_ends_is_announced_to_the_endpoints_of_its_owner_that_want_it(
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    webhooks: Webhooks,
    outbox: WebhookOutbox,
) -> None:
    wanted = await webhooks.create("ann", name="a", url=URL, event_types=["response.completed"])
    await webhooks.create("ann", name="b", url=URL, event_types=["response.failed"])
    await webhooks.create("bob", name="c", url=URL, event_types=EVENT_TYPES)
    turn = make_turn()
    await submitted(turn_client, turn)
    assert queue.claim(1) is not None
    assert await outbox.claim(10) == []

    log.append([ending(turn.id, first=3)])

    [delivery] = await outbox.claim(10)
    assert (delivery.endpoint, delivery.url) == (wanted.id, URL)
    assert delivery.secrets == (wanted.secret,)
    body = json.loads(delivery.body)
    assert body.pop("created_at") > 1_700_000_000
    assert body == {
        "id": delivery.event,
        "object": "event",
        "type": "response.completed",
        "data": {"id": turn.id},
    }


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_turn_and_one_that_ran_out_of_time_are_announced(
    turn_client: TurnClient,
    queue: TurnQueue,
    make_turn: MakeTurn,
    endpoint: Endpoint,
    outbox: WebhookOutbox,
    redis: Redis,
    late: bool,
) -> None:
    turn = await submitted(turn_client, make_turn())
    if late:
        await redis.zadd(keys.deadlines(), {turn.id: 1})
        queue.sweep()
    else:
        await turn_client.cancel(turn.id, "ann")

    [delivery] = await outbox.claim(10)
    expected = "response.failed" if late else "response.cancelled"
    assert json.loads(delivery.body)["type"] == expected


async def test_a_turn_that_ends_because_it_is_steered_is_announced_and_its_successor_is_not_yet(
    turn_client: TurnClient, make_turn: MakeTurn, endpoint: Endpoint, outbox: WebhookOutbox
) -> None:
    turn = await submitted(turn_client, make_turn())
    await steer(turn_client, turn)

    [delivery] = await outbox.claim(10)
    body = json.loads(delivery.body)
    assert (body["type"], body["data"]["id"]) == ("response.incomplete", turn.id)


async def test_a_batch_is_announced_once_and_its_lines_are_not(
    store: BatchStore,
    batch: Batch,
    line_of: Callable[..., Turn],
    endpoint: Endpoint,
    outbox: WebhookOutbox,
) -> None:
    line = line_of(batch, 1)
    await store.submit_lines(batch, [line])
    await store.cancel_lines(batch, [line.id])
    assert await outbox.claim(10) == []

    await store.end(batch, Status.EXPIRED, 60)
    [delivery] = await outbox.claim(10)
    await outbox.accepted(delivery)
    await store.end(batch, Status.EXPIRED, 60)

    assert json.loads(delivery.body)["type"] == "batch.expired"
    assert json.loads(delivery.body)["data"] == {"id": batch.id}
    assert await outbox.claim(10) == []


async def test_a_leased_delivery_is_nobody_elses_and_waits_after_a_failure(
    end_turn: EndTurn, endpoint: Endpoint, outbox: WebhookOutbox
) -> None:
    await end_turn()
    [first] = await outbox.claim(10)
    assert await outbox.claim(10) == []

    assert await outbox.failed(first, 500, "it answered 500") is False

    assert await outbox.claim(10) == []
    [known] = await outbox.waiting(endpoint.id, 10)
    assert (known.attempts.count, known.attempts.status) == (1, 500)
    assert 3 <= known.when - known.attempts.at <= 7


async def test_after_a_lease_its_holder_can_settle_nothing_that_another_leased(
    end_turn: EndTurn, endpoint: Endpoint, outbox: WebhookOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await end_turn()
    with monkeypatch.context() as patched:
        patched.setattr(webhook_outbox, "LEASE_MS", -1)
        [first] = await outbox.claim(10)
    async with asyncio.timeout(5):
        while not (leased := await outbox.claim(10)):
            pass
    [second] = leased

    assert (second.event, second.body) == (first.event, first.body)
    assert await outbox.accepted(first) is False
    assert await outbox.accepted(second) is True
    assert await outbox.waiting(endpoint.id, 10) == []


async def test_an_endpoint_has_few_attempts_at_a_time_and_one_while_it_fails(
    end_turn: EndTurn, endpoint: Endpoint, outbox: WebhookOutbox
) -> None:
    for _ in range(8):
        await end_turn()
    leased = await outbox.claim(10)
    assert len(leased) == webhook_outbox.EACH
    assert await outbox.claim(10) == []

    for delivery in leased:
        await outbox.failed(delivery, 500, "it answered 500")
    [probing] = await outbox.claim(10)
    assert await outbox.claim(10) == []

    await outbox.accepted(probing)
    assert len(await outbox.claim(10)) == 3


async def test_an_endpoint_with_a_backlog_leaves_room_for_others(
    end_turn: EndTurn, endpoint: Endpoint, webhooks: Webhooks, outbox: WebhookOutbox
) -> None:
    bobs = await webhooks.create("bob", name="b", url=URL, event_types=EVENT_TYPES)
    for _ in range(6):
        await end_turn()
    await end_turn("bob")

    claimed = [(await outbox.claim(1))[0].endpoint for _ in range(2)]

    assert set(claimed) == {endpoint.id, bobs.id}


async def test_a_delivery_that_failed_for_a_day_is_a_dead_letter_until_it_is_sent_again(
    end_turn: EndTurn, endpoint: Endpoint, outbox: WebhookOutbox
) -> None:
    event = await end_turn()
    [delivery] = await outbox.claim(10)
    tried = webhook_outbox.Attempts(count=len(webhook_outbox.BACK_OFF_SECONDS))

    assert await outbox.failed(replace(delivery, attempts=tried), None, "no answer") is True

    [dead] = await outbox.dead_letters(endpoint.id, 10)
    assert (dead.event, dead.attempts.error) == (event, "no answer")
    assert await outbox.waiting(endpoint.id, 10) == []
    assert await outbox.send_again(endpoint.id, ["evt_none"]) == 0
    assert await outbox.send_again(endpoint.id, None) == 1
    assert await outbox.dead_letters(endpoint.id, 10) == []
    [again] = await outbox.claim(10)
    assert (again.event, again.body) == (event, delivery.body)
    assert again.attempts.count == 0


def test_the_waits_between_attempts_grow_to_a_day_in_all() -> None:
    waits = [back_off(count) for count in range(1, len(webhook_outbox.BACK_OFF_SECONDS) + 1)]

    assert all(wait is not None and wait >= 4 for wait in waits)
    assert 20 * 3600 < sum(webhook_outbox.BACK_OFF_SECONDS) <= 24 * 3600
    assert back_off(len(waits) + 1) is None
    assert len({back_off(3) for _ in range(10)}) > 1


async def test_what_a_full_outbox_does_not_take_is_counted_by_its_type(
    end_turn: EndTurn, endpoint: Endpoint, webhooks: Webhooks, redis: Redis
) -> None:
    full = {f"evt_{number}": 2**52 for number in range(10_000)}
    await redis.zadd(webhook_keys.webhook_outbox(endpoint.id), full)

    await end_turn()

    found = await webhooks.get(endpoint.id, "ann")
    assert found is not None
    assert found.dropped == {"response.cancelled": 1}
    assert await redis.zcard(webhook_keys.webhook_outbox(endpoint.id)) == 10_000


async def test_a_deleted_endpoint_leaves_nothing(
    end_turn: EndTurn, endpoint: Endpoint, webhooks: Webhooks, outbox: WebhookOutbox, redis: Redis
) -> None:
    await end_turn()
    [delivery] = await outbox.claim(10)

    assert await webhooks.delete(endpoint.id, "bob") is False
    assert await webhooks.delete(endpoint.id, "ann") is True

    assert await outbox.failed(delivery, 500, "it answered 500") is False
    assert await redis.keys("ts:webhook*") == []
    assert await webhooks.update(endpoint, name="b") is None
    assert await webhooks.rotate(endpoint, keep_old=False) is None


async def test_an_endpoint_of_a_newer_release_is_left_to_that_release(
    end_turn: EndTurn, endpoint: Endpoint, webhooks: Webhooks, outbox: WebhookOutbox, redis: Redis
) -> None:
    await end_turn()
    await redis.hset(webhook_keys.webhook_endpoint(endpoint.id), "version", 99)

    assert await outbox.claim(10) == []
    with pytest.raises(NewerVersion):
        await webhooks.get(endpoint.id)


async def test_the_backlog_counts_what_waits(
    end_turn: EndTurn, endpoint: Endpoint, outbox: WebhookOutbox
) -> None:
    assert (await outbox.backlog()).deliveries == 0
    await end_turn()
    assert (await outbox.backlog()).deliveries == 1
    [delivery] = await outbox.claim(1)
    await outbox.failed(delivery, 500, "it answered 500")

    backlog = await outbox.backlog()

    assert (backlog.deliveries, backlog.failing_endpoints) == (1, 1)
    assert backlog.late_seconds == 0
