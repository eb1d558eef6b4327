"""Webhook endpoints as the official SDK manages them, and what is delivered to them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest
import redis.asyncio
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError
from standardwebhooks.webhooks import Webhook

from harness.webhook_receiver import Received, WebhookReceiver
from tests.ws_server.batch_harness import own_database
from tests.ws_server.conftest import MODEL, Node
from tests.ws_server.keyed_client import bearer, token_for
from turnstream.turns import webhook_keys, webhook_outbox
from turnstream.turns.connection import connect_async
from turnstream.ws_server.webhooks import sender

Redis = redis.asyncio.Redis
SECRETS = ["whsec_eHg="]


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
async def database(redis_url: str, redis: Redis) -> AsyncIterator[Redis]:
    """The database of these nodes alone: any node delivers for all of its Redis."""
    client = connect_async(own_database(redis_url))
    yield client
    await client.aclose()


@pytest.fixture
async def http(
    local_node: Node, redis_url: str, database: Redis
) -> AsyncIterator[httpx2.AsyncClient]:
    """A node that may send to this machine."""
    async with local_node(REDIS_URL=own_database(redis_url), WEBHOOKS="any") as http:
        yield http


@pytest.fixture
def openai(http: httpx2.AsyncClient) -> AsyncOpenAI:
    return sdk(http)


def sdk(http: httpx2.AsyncClient, key: str = "ann") -> AsyncOpenAI:
    base_url = f"{http.base_url}/v1"
    return AsyncOpenAI(base_url=base_url, api_key=key, http_client=http, max_retries=0)


async def ended(http: httpx2.AsyncClient, openai: AsyncOpenAI) -> str:
    """Have a response that ends at once; return its id."""
    made = await http.post("/v1/responses", json={"generate": False, "model": MODEL, "input": "Hi"})
    assert made.status_code == 200, made.text
    id: str = made.json()["id"]
    return id


@pytest.fixture(autouse=True)
async def model(redis_url: str, database: Redis) -> None:
    """A model that has been served."""
    about = {"version": 2, "created": 0, "context": 64, "temperature": 1.0, "top_p": 1.0}
    await database.hset("ts:models", MODEL, json.dumps(about))


async def test_endpoints_are_managed_by_the_sdk(openai: AsyncOpenAI) -> None:
    known = await openai.webhooks.event_types.list()
    assert "response.completed" in known.data
    first = await openai.webhooks.create(
        name="first", url="https://example.com/a", event_types=["response.completed"]
    )
    second = await openai.webhooks.create(
        name="second", url="https://example.com/b", event_types=["batch.failed", "batch.expired"]
    )
    assert first.signing_secret.startswith("whsec_")
    assert (first.object, first.created_at) == ("webhook_endpoint", first.updated_at)

    changed = await openai.webhooks.update(first.id, url="https://example.com/c")
    listed = [each async for each in openai.webhooks.list(limit=1)]
    found = await openai.webhooks.retrieve(first.id)

    assert [each.id for each in listed] == [second.id, first.id]
    assert found == changed == listed[1]
    assert (found.name, found.url) == ("first", "https://example.com/c")
    assert found.event_types == ["response.completed"]
    assert found.signing_secret_hint == "whsec_…" + first.signing_secret[-4:]
    assert first.signing_secret not in found.to_json()

    gone = await openai.webhooks.delete(first.id)
    assert (gone.deleted, gone.object) == (True, "webhook_endpoint.deleted")
    with pytest.raises(NotFoundError, match=first.id):
        await openai.webhooks.retrieve(first.id)
    with pytest.raises(NotFoundError):
        await openai.webhooks.delete(first.id)


async def test_another_owner_sees_no_endpoint_and_a_client_token_manages_none(
    http: httpx2.AsyncClient, openai: AsyncOpenAI
) -> None:
    made = await openai.webhooks.create(
        name="mine", url="https://example.com/", event_types=["response.completed"]
    )
    bobs = {"headers": bearer("bob")}
    path = f"/v1/webhook_endpoints/{made.id}"

    assert (await http.get("/v1/webhook_endpoints", **bobs)).json()["data"] == []
    for answer in (
        await http.get(path, **bobs),
        await http.post(path, json={"name": "his"}, **bobs),
        await http.post(f"{path}/rotate_secret", **bobs),
        await http.post(f"{path}/test", json={"event_type": "batch.failed"}, **bobs),
        await http.delete(path, **bobs),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "webhook_endpoint_not_found"
    token = (await token_for(http))["value"]
    refused = await http.get(path, headers=bearer(token))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "server_key_required")


async def test_what_an_endpoint_can_not_be_is_refused_by_name(openai: AsyncOpenAI) -> None:
    asked = {"name": "x", "url": "https://example.com/", "event_types": ["batch.failed"]}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user@example.com/"}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["video.completed"]}, "event_types"),
        ({"name": ""}, "name"),
    ]
    for changed, param in wrong:
        with pytest.raises(BadRequestError) as refused:
            await openai.webhooks.create(**asked | changed)  # type: ignore[arg-type]
        assert str(refused.value.param).startswith(param)


async def test_the_end_of_a_response_is_delivered_and_unwrapped_by_the_sdk(
    http: httpx2.AsyncClient, openai: AsyncOpenAI, receiver: WebhookReceiver, database: Redis
) -> None:
    made = await openai.webhooks.create(
        name="x", url=receiver.url, event_types=["response.completed"]
    )
    id = await ended(http, openai)

    [request] = await receiver.wait_for(lambda received: len(received) == 1)

    event = openai.webhooks.unwrap(request.body, request.headers, secret=made.signing_secret)
    assert (event.type, event.data.id) == ("response.completed", id)  # type: ignore[union-attr]
    assert request.id == event.id
    assert Webhook(made.signing_secret).verify(request.body, request.headers)["object"] == "event"
    await until_empty(database, made.id)


async def until_empty(database: Redis, endpoint: str) -> None:
    async with asyncio.timeout(20):
        while await database.zrange(webhook_keys.webhook_outbox(endpoint), 0, -1):
            await asyncio.sleep(0.01)


async def test_a_refused_delivery_comes_again_the_same_and_redirects_are_not_followed(
    http: httpx2.AsyncClient,
    openai: AsyncOpenAI,
    receiver: WebhookReceiver,
    database: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_outbox, "BACK_OFF_SECONDS", (0.01, 0.01, 0.01))
    statuses = [500, 302, 404, 204]
    receiver.headers = f"location: {receiver.url}?followed\r\n"
    receiver.answer = lambda _: statuses[len(receiver.received) - 1]
    made = await openai.webhooks.create(
        name="x", url=receiver.url, event_types=["response.completed"]
    )
    await ended(http, openai)

    received = await receiver.wait_for(lambda received: len(received) == 4)

    assert len({(each.path, each.id, each.body) for each in received}) == 1
    await until_empty(database, made.id)
    assert len(receiver.received) == 4


async def test_both_secrets_sign_during_a_rotation_and_only_the_new_one_without(
    openai: AsyncOpenAI, receiver: WebhookReceiver
) -> None:
    made = await openai.webhooks.create(name="x", url=receiver.url, event_types=["batch.failed"])
    kept = await openai.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    await openai.webhooks.test(made.id, event_type="batch.failed")
    alone = await openai.webhooks.rotate_secret(made.id)
    await openai.webhooks.test(made.id, event_type="batch.failed")

    secrets = [made.signing_secret, kept.signing_secret, alone.signing_secret]
    assert [verified(each, secrets) for each in receiver.received] == [
        [True, True, False],
        [False, False, True],
    ]


def verified(request: Received, secrets: list[str]) -> list[bool]:
    signed = request.headers["webhook-signature"].split()
    expected = [
        Webhook(secret).sign(request.id, _time_of(request), request.body.decode())
        for secret in secrets
    ]
    return [each in signed for each in expected]


async def test_a_test_tells_the_status_or_that_the_endpoint_was_not_reached(
    openai: AsyncOpenAI, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = lambda _: 418
    made = await openai.webhooks.create(name="x", url=receiver.url, event_types=["batch.failed"])

    result = await openai.webhooks.test(made.id, event_type="response.incomplete")

    assert (result.status_code, result.success, result.webhook_endpoint_id) == (418, True, made.id)
    assert json.loads(receiver.received[0].body)["type"] == "response.incomplete"
    monkeypatch.setattr(sender, "ATTEMPT_SECONDS", 0.1)
    receiver.answer = lambda _: None
    with pytest.raises(APIStatusError, match="did not answer within") as late:
        await openai.webhooks.test(made.id, event_type="batch.failed")
    assert (late.value.status_code, late.value.code) == (400, "webhook_endpoint_unreachable")


async def test_an_endpoint_that_does_not_answer_delays_no_other(
    http: httpx2.AsyncClient, openai: AsyncOpenAI, receiver: WebhookReceiver
) -> None:
    async with WebhookReceiver(lambda _: None) as silent:
        for each in (silent, receiver):
            await openai.webhooks.create(name="x", url=each.url, event_types=["response.completed"])
        for _ in range(8):
            await ended(http, openai)

        await receiver.wait_for(lambda received: len(received) == 8)

        assert len(silent.received) <= webhook_outbox.EACH


async def test_two_nodes_share_the_attempts_and_make_none_twice(
    local_node: Node,
    redis_url: str,
    http: httpx2.AsyncClient,
    openai: AsyncOpenAI,
    receiver: WebhookReceiver,
    database: Redis,
) -> None:
    receiver.delay_seconds = 0.05
    made = await openai.webhooks.create(
        name="x", url=receiver.url, event_types=["response.completed"]
    )
    async with local_node(REDIS_URL=own_database(redis_url), WEBHOOKS="any", NODE="other"):
        ids = [await ended(http, openai) for _ in range(20)]
        received = await receiver.wait_for(lambda received: len(received) >= len(ids))
        await until_empty(database, made.id)

    assert sorted(each.id for each in received) == sorted(id.replace("resp_", "evt_") for id in ids)
    assert receiver.most_at_once <= webhook_outbox.EACH


def _time_of(request: Received) -> datetime:
    return datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
