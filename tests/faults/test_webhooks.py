"""A webhook arrives though its node or Redis is killed, again and again under one id."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from redis import Redis
from redis.exceptions import RedisError

from harness.service import Service
from harness.webhook_receiver import Received, WebhookReceiver
from turnstream.turns import webhook_keys
from turnstream.turns.tasks import background

PATIENCE_SECONDS = 60.0
#: All of a thousand. A killed node leaves its leases, and what it was sending waits for their end.
CHAOS_SECONDS = 900.0
TURNS = 1000
#: Requests under way at a time, and for how long the service answers before its next fault.
AT_ONCE, FAULT_SECONDS = 16, 4.0


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def endpoint(service: Service, receiver: WebhookReceiver) -> Iterator[str]:
    """The id of an endpoint for completed and incomplete responses."""
    asked = {"name": "x", "url": receiver.url}
    asked |= {"event_types": ["response.completed", "response.incomplete"]}  # type: ignore[dict-item]
    id = service.post("/v1/webhook_endpoints", json.dumps(asked).encode())["id"]
    yield id
    with httpx2.Client(base_url=service.url, timeout=30) as http:
        http.delete(f"/v1/webhook_endpoints/{id}")


@pytest.fixture
def written_at_once(redis: Redis) -> Iterator[None]:
    """Let Redis answer what its disk has.

    With `everysec` it defers its writes while the disk is slow, as it is beside other tests; then a
    killed Redis has lost turns, or ends that an endpoint was told (docs/reliability.md).
    """
    redis.config_set("appendfsync", "always")
    # It is started again with its file.
    redis.config_rewrite()
    yield
    redis.config_set("appendfsync", "everysec")
    redis.config_rewrite()


async def post(http: httpx2.AsyncClient, body: dict[str, Any], key: str) -> str:
    """Submit a turn, again while that fails; return its id."""
    while True:
        try:
            answer = await http.post("/v1/responses", json=body, headers={"idempotency-key": key})
            if answer.status_code == 200:
                id: str = answer.json()["id"]
                return id
            assert answer.status_code in (500, 503), answer.text
        except httpx2.TransportError:
            pass
        await asyncio.sleep(0.1)


async def kill_again_and_again(service: Service, killed: list[str]) -> None:
    """Kill node and Redis in turn, each time once the service has answered for a while.

    On a busy machine a node may take longer to start than the time between two faults: if it were
    killed by the clock, it would never answer.
    """
    while True:
        for name in ("serve", "redis"):
            while not await asyncio.to_thread(service.answers):
                await asyncio.sleep(0.1)
            await asyncio.sleep(FAULT_SECONDS)
            service.child(name).kill()
            killed.append(name)


def ask(service: Service) -> str:
    """Have a response that ends at once; return the id of its event."""
    made = service.post("/v1/responses", b'{"generate": false, "input": "Hi", "model": "demo"}')
    return str(made["id"]).replace("resp_", "evt_")


async def until_settled(redis: Redis, endpoint: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until nothing waits for the endpoint any more."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if not redis.exists(webhook_keys.webhook_outbox(endpoint)):
                    return
            except RedisError:
                pass
            await asyncio.sleep(0.05)


async def test_a_node_killed_before_it_notes_the_answer_sends_the_same_again(
    service: Service, redis: Redis, endpoint: str, receiver: WebhookReceiver
) -> None:
    node = service.child("serve")

    def answer(_: Received) -> int:
        # Before it gets the answer; then it is killed.
        if len(receiver.received) == 1:
            node.suspend()
        return 200

    receiver.answer = answer
    event = await asyncio.to_thread(ask, service)
    [first] = await receiver.wait_for(lambda received: len(received) == 1)
    node.kill()
    # The lease ends now: the test does not wait for it.
    assert redis.zscore(webhook_keys.webhook_leases(endpoint), event)
    redis.zadd(webhook_keys.webhook_outbox(endpoint), {event: 1})
    redis.zadd(webhook_keys.webhook_leases(endpoint), {event: 1})
    redis.zadd(webhook_keys.webhook_due(), {endpoint: 1})

    _, second = await receiver.wait_for(lambda received: len(received) == 2)

    assert first.id == second.id == event
    assert first.body == second.body
    await until_settled(redis, endpoint)
    assert len(receiver.received) == 2


async def test_a_delivery_outlives_a_killed_redis_and_is_settled_when_it_is_back(
    service: Service, redis: Redis, endpoint: str, receiver: WebhookReceiver
) -> None:
    def answer(_: Received) -> int:
        if len(receiver.received) == 1:
            service.child("redis").kill()
        return 200

    receiver.answer = answer
    event = await asyncio.to_thread(ask, service)
    await receiver.wait_for(lambda received: len(received) >= 1)

    await until_settled(redis, endpoint)

    assert {(each.id, each.body) for each in receiver.received} == {
        (event, receiver.received[0].body)
    }


@pytest.mark.long
@pytest.mark.usefixtures("written_at_once")
async def test_each_of_a_thousand_ends_arrives_while_node_and_redis_are_killed(
    service: Service, redis: Redis, endpoint: str, receiver: WebhookReceiver
) -> None:
    asking = asyncio.Semaphore(AT_ONCE)
    killed: list[str] = []
    body = {"input": "Hi", "max_output_tokens": 2, "background": True, "model": "demo"}

    async def one(http: httpx2.AsyncClient, number: int) -> str:
        async with asking:
            return await post(http, body, f"{endpoint} {number}")

    refused: set[str] = set()

    def answer(request: Received) -> int:
        # Some are refused once, and most kills come while something is being sent.
        if request.id[-1] == "0" and request.id not in refused:
            refused.add(request.id)
            return 500
        return 200

    receiver.answer, receiver.delay_seconds = answer, 0.1
    async with (
        asyncio.timeout(CHAOS_SECONDS),
        httpx2.AsyncClient(base_url=service.url, timeout=30) as http,
    ):
        async with background(killing=kill_again_and_again(service, killed)):
            ids = await asyncio.gather(*(one(http, number) for number in range(TURNS)))
            # An idle machine takes a thousand requests before the second fault.
            while not {"serve", "redis"} <= set(killed):
                await asyncio.sleep(0.1)
        events = {id.replace("resp_", "evt_") for id in ids}
        assert len(events) == TURNS
        while not events <= {each.id for each in receiver.received}:
            await asyncio.sleep(0.5)

    await until_settled(redis, endpoint, CHAOS_SECONDS)
    bodies = defaultdict(set)
    for each in receiver.received:
        bodies[each.id].add(each.body)
    assert all(len(said) == 1 for said in bodies.values())
    # Turns that earlier tests left may end meanwhile.
    for event in set(bodies) - events:
        assert has_ended(service, event)


def has_ended(service: Service, event: str) -> bool:
    """Return whether the response that an event announces has ended."""
    response = service.get(f"/v1/responses/{event.replace('evt_', 'resp_')}")
    return response["status"] in ("completed", "incomplete")
