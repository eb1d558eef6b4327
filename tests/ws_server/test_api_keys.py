"""Keys that are made while the service runs, and client tokens, on a real front end."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import redis.asyncio
from websockets.asyncio.client import ClientConnection, connect

from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns.api_keys import ApiKeys, digest_of
from turnstream.turns.connection import connect_async
from turnstream.turns.owner_limits import StoredLimits
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_calls import RedisCalls

ENVIRON = {"TURNSTREAM_API_KEYS": "ann:" + hashlib.sha256(b"ann").hexdigest()}
WAIT_SECONDS = 20.0
#: Tokens that the worker of these tests says its model takes.
CONTEXT = 64
#: A key that was made or revoked is in force on every node after this.
IN_FORCE_SECONDS = 1.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def keyed_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(redis_url, tmp_path_factory.mktemp("keyed"), **ENVIRON) as url:
        yield url


@pytest.fixture
async def keys(redis_url: str, redis: "redis.asyncio.Redis") -> AsyncIterator[ApiKeys]:
    client = connect_async(redis_url)
    yield ApiKeys(client, RedisCalls(ProblemLog(redis_url)))
    await client.aclose()


@pytest.fixture
async def http(keyed_node: str, worker: FakeWorker) -> AsyncIterator[httpx2.AsyncClient]:
    worker.heartbeat()
    async with httpx2.AsyncClient(base_url=keyed_node, timeout=WAIT_SECONDS) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def ask(http: httpx2.AsyncClient, key: str, **fields: Any) -> httpx2.Response:
    body = {"input": "Hello", "background": True} | fields
    return await http.post("/v1/responses", json=body, headers=bearer(key))


async def token_for(http: httpx2.AsyncClient, key: str = "ann", **fields: Any) -> Json:
    answer = await http.post("/v1/client_tokens", json=fields, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made


def socket_of(http: httpx2.AsyncClient, key: str) -> Any:
    url = str(http.base_url).replace("http", "ws", 1).rstrip("/") + "/v1/responses"
    return connect(url, additional_headers=bearer(key))


async def receive(socket: ClientConnection) -> Json:
    async with asyncio.timeout(WAIT_SECONDS):
        frame: Json = json.loads(await socket.recv())
    return frame


async def test_a_key_is_in_force_when_it_is_made_and_not_a_second_after_it_was_revoked(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    text, key = await keys.create("bob", name="laptop")
    assert (await ask(http, text)).status_code == 200
    [listed] = await keys.all()
    assert (listed.id, listed.owner, listed.name) == (key.id, "bob", "laptop")
    assert listed.last_used is not None

    assert await keys.revoke(key.id)
    await asyncio.sleep(IN_FORCE_SECONDS)
    assert (await ask(http, text)).status_code == 401
    assert await keys.all() == []
    assert not await keys.revoke(key.id)


async def test_the_text_of_a_key_is_nowhere_in_redis(
    keys: ApiKeys, redis: "redis.asyncio.Redis"
) -> None:
    text, _ = await keys.create("bob")

    for key in await redis.keys("*"):
        assert text.encode() not in key
        if await redis.type(key) == b"hash":
            stored: Any = redis.hgetall(key)
            assert text.encode() not in b"".join(x for pair in (await stored).items() for x in pair)


async def test_a_key_is_good_for_its_own_tiers_and_its_own_rate(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    text, _ = await keys.create("bob", tiers=frozenset({"flex"}), requests_per_minute=1)
    other, _ = await keys.create("bob")

    wrong_tier = await ask(http, text)
    assert (wrong_tier.status_code, wrong_tier.json()["error"]["code"]) == (
        403,
        "service_tier_not_allowed",
    )
    assert (await ask(http, text, service_tier="flex")).status_code == 200
    too_many = await ask(http, text, service_tier="flex")
    assert (too_many.status_code, too_many.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (await ask(http, other)).status_code == 200


async def test_an_expired_key_is_unknown(http: httpx2.AsyncClient, keys: ApiKeys) -> None:
    text, _ = await keys.create("bob", expires_at=int(time.time()))

    assert (await ask(http, text)).status_code == 401


async def test_limits_set_at_run_time_are_in_force_within_a_second_or_two_and_budgets_run_out(
    http: httpx2.AsyncClient, redis_url: str, worker: FakeWorker
) -> None:
    client = connect_async(redis_url)
    limits = StoredLimits(client, RedisCalls(ProblemLog(redis_url)))
    await limits.set("ann", "tokens_per_day=100")
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            # A node without the new limits says nothing about a day.
            while "x-ratelimit-limit-tokens-day" not in (first := await ask(http, "ann")).headers:
                await asyncio.sleep(0.05)
        left = int(first.headers["x-ratelimit-remaining-tokens-day"])
        assert first.headers["x-ratelimit-limit-tokens-day"] == "100"
        # The whole context of this model is reserved for the answer.
        assert left == 100 - CONTEXT
        refused = await ask(http, "ann")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"

        # What was not used is given back at the end of the turn.
        id = first.json()["id"]
        cancelled = await http.post(f"/v1/responses/{id}/cancel", headers=bearer("ann"))
        assert cancelled.status_code == 200
        again = await ask(http, "ann")
        assert again.status_code == 200
    finally:
        await limits.set("ann", "")
        await client.aclose()


async def test_a_client_token_is_its_owners_and_makes_no_other_tokens(
    http: httpx2.AsyncClient,
) -> None:
    token = await token_for(http, expires_after={"anchor": "created_at", "seconds": 60})
    assert token["expires_at"] - token["created_at"] == 60
    response = (await ask(http, token["value"])).json()
    found = await http.get(f"/v1/responses/{response['id']}", headers=bearer("ann"))
    assert found.status_code == 200

    refused = await http.post("/v1/client_tokens", json={}, headers=bearer(token["value"]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "server_key_required")
    assert (await http.post("/v1/client_tokens", json={})).status_code == 401


async def test_a_client_token_ends_with_the_key_that_made_it(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    text, key = await keys.create("bob")
    token = (await token_for(http, text))["value"]
    assert (await ask(http, token)).status_code == 200

    await keys.revoke(key.id)
    await asyncio.sleep(IN_FORCE_SECONDS)
    assert (await ask(http, token)).status_code == 401


async def test_a_token_for_a_conversation_is_good_for_nothing_else(
    http: httpx2.AsyncClient,
) -> None:
    mine, other = [
        (await http.post("/v1/conversations", json={}, headers=bearer("ann"))).json()["id"]
        for _ in range(2)
    ]
    token = (await token_for(http, conversation=mine))["value"]
    allowed = await ask(http, token, conversation=mine)
    elsewhere = (await ask(http, "ann", conversation=other)).json()["id"]
    inside = allowed.json()["id"]

    assert allowed.status_code == 200
    for path in (f"conversations/{mine}/items", f"conversations/{mine}", f"responses/{inside}"):
        assert (await http.get(f"/v1/{path}", headers=bearer(token))).status_code == 200, path
    forbidden = [
        await ask(http, token),
        await ask(http, token, conversation=other),
        await ask(http, token, previous_response_id=inside),
        await ask(
            http, token, conversation=mine, input=[{"type": "item_reference", "id": "msg_1"}]
        ),
        await http.post("/v1/chat/completions", json={"messages": []}, headers=bearer(token)),
    ]
    for path in (
        f"conversations/{other}",
        f"conversations/{other}/items",
        f"responses/{elsewhere}",
        f"responses/{elsewhere}/input_items",
        "responses/resp_" + 32 * "0",
        "files",
        "batches",
    ):
        forbidden.append(await http.get(f"/v1/{path}", headers=bearer(token)))
    for answer in forbidden:
        # Some are wrong in themselves, which is told before.
        assert answer.status_code in (400, 403), answer.request.url
        assert answer.status_code == 400 or answer.json()["error"]["code"] == "token_bound"
    deleted = await http.delete(f"/v1/conversations/{mine}", headers=bearer(token))
    assert deleted.status_code == 403


async def test_a_token_for_a_response_reads_and_stops_it_and_no_other(
    http: httpx2.AsyncClient,
) -> None:
    mine, other = [(await ask(http, "ann")).json()["id"] for _ in range(2)]
    token = (await token_for(http, response=mine))["value"]

    assert (await http.get(f"/v1/responses/{mine}", headers=bearer(token))).status_code == 200
    assert (await http.get(f"/v1/responses/{other}", headers=bearer(token))).status_code == 403
    assert (await ask(http, token)).status_code == 403
    async with socket_of(http, token) as socket:
        for id in (other, mine):
            await socket.send(json.dumps({"type": "turnstream:response.resume", "response_id": id}))
        assert (await receive(socket))["error"]["code"] == "token_bound"
        assert (await receive(socket))["response"]["id"] == mine
        # On another lane: errors of this one wait for the end of the response.
        cancel = {"type": "response.cancel", "response_id": other, "stream_id": "b"}
        await socket.send(json.dumps(cancel))
        async with asyncio.timeout(WAIT_SECONDS):
            while (seen := await receive(socket))["type"] != "error":
                pass
        assert seen["error"]["code"] == "token_bound"
    stopped = await http.post(f"/v1/responses/{mine}/cancel", headers=bearer(token))
    assert stopped.status_code == 200


async def test_nobody_gets_a_token_for_what_another_owner_has(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    text, _ = await keys.create("bob")
    response = (await ask(http, "ann")).json()["id"]
    conversation = await http.post("/v1/conversations", json={}, headers=bearer("ann"))

    for fields in ({"response": response}, {"conversation": conversation.json()["id"]}):
        refused = await http.post("/v1/client_tokens", json=fields, headers=bearer(text))
        assert refused.status_code == 404


async def test_a_socket_whose_token_expires_is_told_and_goes_on_with_another_one(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    brief, _ = await keys.create_token(
        None, 0, owner="ann", expires_at=int(time.time()) + 2, made_with=digest_of("ann")
    )
    foreign, _ = await keys.create("bob")
    async with socket_of(http, brief) as socket:
        told = await receive(socket)
        assert (told["type"], told["closes_in_ms"]) == ("turnstream:token.expired", 30_000)
        create = {"type": "response.create", "input": "Hello"}
        await socket.send(json.dumps(create))
        assert (await receive(socket))["error"]["code"] == "token_expired"

        for wrong in ("nobody's", foreign):
            await socket.send(json.dumps({"type": "turnstream:token.refresh", "token": wrong}))
            assert (await receive(socket))["status"] in (401, 403)
        another = await token_for(http)
        refresh = {"type": "turnstream:token.refresh", "token": another["value"]}
        await socket.send(json.dumps(refresh))
        assert await receive(socket) == {
            "type": "turnstream:token.refreshed",
            "expires_at": another["expires_at"],
        }
        await socket.send(json.dumps(create))
        assert (await receive(socket))["type"] == "response.created"


async def test_a_socket_whose_key_is_revoked_is_closed(
    http: httpx2.AsyncClient, keys: ApiKeys
) -> None:
    text, key = await keys.create("bob")
    async with socket_of(http, text) as socket:
        await socket.send(json.dumps({"type": "response.create", "input": "Hello"}))
        assert (await receive(socket))["type"] == "response.created"
        await keys.revoke(key.id)
        async with asyncio.timeout(WAIT_SECONDS):
            await socket.wait_closed()
        assert socket.close_code == 1008
