"""Client tokens, over HTTP and on sockets, on a real front end."""

import asyncio
import json
import time
from typing import Any

import httpx2
import redis.asyncio

from tests.ws_server.keyed_client import (
    IN_FORCE_SECONDS,
    WAIT_SECONDS,
    ask,
    bearer,
    receive,
    socket_of,
    token_for,
)
from turnstream.turns import keys
from turnstream.turns.api_keys import ApiKeys, digest_of


async def test_a_client_token_is_its_owners_and_makes_no_other_tokens(
    keyed_http: httpx2.AsyncClient,
) -> None:
    token = await token_for(keyed_http, expires_after={"anchor": "created_at", "seconds": 60})
    assert token["expires_at"] - token["created_at"] == 60
    response = (await ask(keyed_http, token["value"])).json()
    found = await keyed_http.get(f"/v1/responses/{response['id']}", headers=bearer("ann"))
    assert found.status_code == 200

    refused = await keyed_http.post("/v1/client_tokens", json={}, headers=bearer(token["value"]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "server_key_required")
    assert (await keyed_http.post("/v1/client_tokens", json={})).status_code == 401


async def test_a_client_token_ends_with_the_key_that_made_it(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, key = await stored_keys.create("bob")
    token = (await token_for(keyed_http, text))["value"]
    assert (await ask(keyed_http, token)).status_code == 200

    await stored_keys.revoke(key.id)
    await asyncio.sleep(IN_FORCE_SECONDS)
    assert (await ask(keyed_http, token)).status_code == 401


async def test_a_token_for_a_conversation_is_good_for_nothing_else(
    keyed_http: httpx2.AsyncClient,
) -> None:
    mine, other = [
        (await keyed_http.post("/v1/conversations", json={}, headers=bearer("ann"))).json()["id"]
        for _ in range(2)
    ]
    token = (await token_for(keyed_http, conversation=mine))["value"]
    allowed = await ask(keyed_http, token, conversation=mine)
    elsewhere = (await ask(keyed_http, "ann", conversation=other)).json()["id"]
    inside = allowed.json()["id"]

    assert allowed.status_code == 200
    for path in (f"conversations/{mine}/items", f"conversations/{mine}", f"responses/{inside}"):
        assert (await keyed_http.get(f"/v1/{path}", headers=bearer(token))).status_code == 200, path
    forbidden = [
        await ask(keyed_http, token),
        await ask(keyed_http, token, conversation=other),
        await ask(keyed_http, token, previous_response_id=inside),
        await ask(
            keyed_http, token, conversation=mine, input=[{"type": "item_reference", "id": "msg_1"}]
        ),
        await keyed_http.post("/v1/chat/completions", json={"messages": []}, headers=bearer(token)),
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
        forbidden.append(await keyed_http.get(f"/v1/{path}", headers=bearer(token)))
    for answer in forbidden:
        # Some are wrong in themselves, which is told before.
        assert answer.status_code in (400, 403), answer.request.url
        assert answer.status_code == 400 or answer.json()["error"]["code"] == "token_bound"
    deleted = await keyed_http.delete(f"/v1/conversations/{mine}", headers=bearer(token))
    assert deleted.status_code == 403


async def test_a_token_for_a_response_reads_and_stops_it_and_no_other(
    keyed_http: httpx2.AsyncClient,
) -> None:
    mine, other = [(await ask(keyed_http, "ann")).json()["id"] for _ in range(2)]
    token = (await token_for(keyed_http, response=mine))["value"]

    assert (await keyed_http.get(f"/v1/responses/{mine}", headers=bearer(token))).status_code == 200
    assert (
        await keyed_http.get(f"/v1/responses/{other}", headers=bearer(token))
    ).status_code == 403
    assert (await ask(keyed_http, token)).status_code == 403
    async with socket_of(keyed_http, token) as socket:
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
    stopped = await keyed_http.post(f"/v1/responses/{mine}/cancel", headers=bearer(token))
    assert stopped.status_code == 200


async def test_nobody_gets_a_token_for_what_another_owner_has(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, _ = await stored_keys.create("bob")
    response = (await ask(keyed_http, "ann")).json()["id"]
    conversation = await keyed_http.post("/v1/conversations", json={}, headers=bearer("ann"))

    for fields in ({"response": response}, {"conversation": conversation.json()["id"]}):
        refused = await keyed_http.post("/v1/client_tokens", json=fields, headers=bearer(text))
        assert refused.status_code == 404


async def test_a_socket_whose_token_expires_is_told_and_goes_on_with_another_one(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    brief, _ = await stored_keys.create_token(
        None, 0, owner="ann", expires_at=int(time.time()) + 2, made_with=digest_of("ann")
    )
    foreign, _ = await stored_keys.create("bob")
    async with socket_of(keyed_http, brief) as socket:
        told = await receive(socket)
        assert (told["type"], told["closes_in_ms"]) == ("turnstream:token.expired", 30_000)
        create = {"type": "response.create", "input": "Hello"}
        await socket.send(json.dumps(create))
        assert (await receive(socket))["error"]["code"] == "token_expired"

        for wrong in ("nobody's", foreign):
            await socket.send(json.dumps({"type": "turnstream:token.refresh", "token": wrong}))
            assert (await receive(socket))["status"] in (401, 403)
        another = await token_for(keyed_http)
        refresh = {"type": "turnstream:token.refresh", "token": another["value"]}
        await socket.send(json.dumps(refresh))
        assert await receive(socket) == {
            "type": "turnstream:token.refreshed",
            "expires_at": another["expires_at"],
        }
        await socket.send(json.dumps(create))
        assert (await receive(socket))["type"] == "response.created"


async def test_a_socket_whose_key_is_revoked_is_closed(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, key = await stored_keys.create("bob")
    async with socket_of(keyed_http, text) as socket:
        await socket.send(json.dumps({"type": "response.create", "input": "Hello"}))
        assert (await receive(socket))["type"] == "response.created"
        await stored_keys.revoke(key.id)
        async with asyncio.timeout(WAIT_SECONDS):
            await socket.wait_closed()
        assert socket.close_code == 1008


async def test_the_uses_of_tokens_leave_nothing_behind(
    keyed_http: httpx2.AsyncClient, redis: "redis.asyncio.Redis"
) -> None:
    for _ in range(2):
        token = (await token_for(keyed_http))["value"]
        assert (await ask(keyed_http, token)).status_code == 200

    uses: Any = redis.hgetall(keys.api_key_uses())
    assert await uses == {}
