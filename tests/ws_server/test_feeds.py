"""Feeds over the socket and over HTTP, on real front ends; the test plays the worker."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.keyed_client import bearer, receive, socket_of, token_for
from tests.ws_server.wire_client import answered, code_of, create, event, send, socket_url, until
from turnstream.turns.api_keys import ApiKeys

Json = dict[str, Any]
PREFIX = "turnstream:conversation."
WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def elsewhere(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another node, where little may be followed."""
    few = {"TURNSTREAM_SOCKET_FEEDS": "1", "TURNSTREAM_OWNER_FEEDS": "2"}
    with serving(redis_url, tmp_path_factory.mktemp("elsewhere"), **few) as url:
        yield url


@asynccontextmanager
async def socket_at(node: str) -> AsyncIterator[ClientConnection]:
    async with connect(socket_url(node)) as socket:
        yield socket


async def new_conversation(node: str) -> str:
    async with httpx2.AsyncClient(base_url=node) as http:
        made = await http.post("/v1/conversations", json={})
    id: str = made.json()["id"]
    return id


async def follow(socket: ClientConnection, id: str, **fields: Any) -> Json:
    """Follow a conversation and return the first answer."""
    fields = {"stream_id": "feed"} | fields
    await send(socket, type=f"{PREFIX}follow", conversation=id, **fields)
    return await event(socket)


async def read_stream(lines: AsyncIterator[str], last: str) -> list[Json]:
    """Read the data of a stream's events up to one of a type."""
    found: list[Json] = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for line in lines:
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if found[-1]["type"] == last:
                    break
    return found


async def test_two_devices_at_two_nodes_get_the_same_words_of_a_third(
    node: str, elsewhere: str, worker: FakeWorker
) -> None:
    id = await new_conversation(node)
    async with (
        socket_at(node) as first,
        socket_at(elsewhere) as second,
        httpx2.AsyncClient(base_url=elsewhere) as http,
    ):
        for device in (first, second):
            followed = await follow(device, id)
            assert followed == {
                "type": f"{PREFIX}followed",
                "conversation": id,
                "newest": 0,
                "stream_id": "feed",
            }
            assert (await event(device))["type"] == f"{PREFIX}opened"
        body = {"model": "tiny", "input": "One?", "conversation": id}
        asking = asyncio.create_task(http.post("/v1/responses", json=body))
        await worker.claim()
        worker.say("One", ".")
        worker.end()
        response_id = (await asking).json()["id"]
        seen = []
        for device in (first, second):
            events: list[Json] = []
            while not events or events[-1]["type"] != f"{PREFIX}response.ended":
                events.append(await event(device))
            seen.append(events)

    assert seen[0] == seen[1]
    entries = [each for each in seen[0] if each["type"].startswith(PREFIX)]
    assert [each["stream_id"] for each in entries] == ["feed"] * 2
    assert seen[0][0] == entries[0]
    assert entries[1]["status"] == "completed"
    said = seen[0][1:-1]
    assert {each["stream_id"] for each in said} == {response_id}
    assert [each["sequence_number"] for each in said] == list(range(len(said)))
    assert "".join(each.get("delta", "") for each in said) == "One."


async def test_a_running_response_is_read_from_its_beginning_by_who_follows_late(
    node: str, worker: FakeWorker
) -> None:
    id = await new_conversation(node)
    async with socket_at(node) as asking, socket_at(node) as late:
        await create(asking, input="One?", conversation=id)
        await worker.claim()
        worker.say("One")
        assert (await follow(late, id, starting_after=-1))["newest"] == 1
        while (await event(late)).get("delta") != "One":
            pass
        worker.end()
        assert (await until(late, f"{PREFIX}response.ended"))["sequence_number"] == 2


async def test_without_responses_only_the_entries_come(node: str, worker: FakeWorker) -> None:
    id = await new_conversation(node)
    async with socket_at(node) as asking, socket_at(node) as other:
        await follow(other, id, responses=False)
        await answered(asking, worker, conversation=id)
        await answered(asking, worker, conversation=id)
        types = [(await event(other))["type"].removeprefix(PREFIX) for _ in range(5)]
    assert types == ["opened"] + ["response.created", "response.ended"] * 2


async def test_what_is_unfollowed_or_deleted_says_so(node: str) -> None:
    id, other = await new_conversation(node), await new_conversation(node)
    async with socket_at(node) as socket, httpx2.AsyncClient(base_url=node) as http:
        for name in (id, other):
            await follow(socket, name, stream_id=name)
            await event(socket)
        await send(socket, type=f"{PREFIX}unfollow", stream_id=other)
        unfollowed = await event(socket)
        for name in (other, id):
            await http.delete(f"/v1/conversations/{name}")
        assert unfollowed == {"type": f"{PREFIX}unfollowed", "stream_id": other}
        deleted = await event(socket)
        assert deleted.pop("cursor").startswith("1-")
        assert deleted == {
            "type": f"{PREFIX}deleted",
            "sequence_number": 1,
            "conversation": id,
            "stream_id": id,
        }
        assert code_of(await follow(socket, id)) == ("conversation_not_found", 404)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"conversation": "conv_" + "0" * 32}, "conversation_not_found"),
        ({"conversation": "resp_" + "0" * 32}, "response_not_found"),
        ({"conversation": "x"}, "conversation_not_found"),
        ({"conversation": 1}, "invalid_value"),
        ({}, "missing_required_parameter"),
        ({"conversation": "conv_" + "0" * 32, "starting_after": -2}, "invalid_value"),
    ],
)
async def test_what_cannot_be_followed_is_refused(node: str, asked: Json, code: str) -> None:
    async with socket_at(node) as socket:
        await send(socket, type=f"{PREFIX}follow", stream_id="a", **asked)
        refused = await event(socket)
    assert (refused["error"]["code"], refused["stream_id"]) == (code, "a")


async def test_a_number_that_never_was_is_refused(node: str) -> None:
    id = await new_conversation(node)
    async with socket_at(node) as socket:
        assert code_of(await follow(socket, id, starting_after=7)) == ("stream_expired", 400)


async def test_a_socket_follows_a_bounded_number_of_conversations(
    elsewhere: str, worker: FakeWorker
) -> None:
    id = await new_conversation(elsewhere)
    async with (
        socket_at(elsewhere) as first,
        socket_at(elsewhere) as second,
        socket_at(elsewhere) as third,
        httpx2.AsyncClient(base_url=elsewhere) as http,
    ):
        for socket in (first, second):
            await follow(socket, id, stream_id="a")
            await event(socket)
        assert code_of(await follow(first, id, stream_id="b")) == ("too_many_feeds", 429)
        assert code_of(await follow(third, id)) == ("too_many_feeds", 429)
        assert (await http.get(f"/v1/conversations/{id}/feed")).status_code == 429
        await send(first, type=f"{PREFIX}unfollow", stream_id="a")
        await event(first)
        assert (await follow(third, id))["type"] == f"{PREFIX}followed"


async def test_over_http_a_tree_is_a_stream_that_goes_on_after_the_last_id(
    node: str, worker: FakeWorker
) -> None:
    async with socket_at(node) as socket, httpx2.AsyncClient(base_url=node) as http:
        root = await answered(socket, worker)
        path = f"/v1/conversations/{root}/feed"
        async with http.stream("GET", path) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            before = await read_stream(lines, f"{PREFIX}response.ended")
            second = await answered(socket, worker, previous_response_id=root)
            seen = await read_stream(lines, f"{PREFIX}response.ended")
        async with http.stream("GET", path, headers={"last-event-id": "3"}) as stream:
            lines = stream.aiter_lines()
            rest = await read_stream(lines, f"{PREFIX}response.ended")
            await http.delete(f"/v1/responses/{root}")
            last = await read_stream(lines, f"{PREFIX}deleted")
            assert [line async for line in lines if line] == []

    assert [each["sequence_number"] for each in before] == [0, 1, 2]
    assert (seen[0]["response_id"], seen[0]["previous_response_id"]) == (second, root)
    assert {each["stream_id"] for each in seen[1:-1]} == {second}
    assert rest == seen[1:]
    assert [each["type"] for each in last] == [f"{PREFIX}deleted"]


async def test_a_token_for_a_feed_follows_and_reads_and_does_nothing_else(
    keyed_http: httpx2.AsyncClient,
) -> None:
    ann = bearer("ann")
    made = [(await keyed_http.post("/v1/conversations", json={}, headers=ann)) for _ in range(2)]
    mine, other = (each.json()["id"] for each in made)
    body = {"input": "One?", "background": True, "conversation": mine}
    response = (await keyed_http.post("/v1/responses", json=body, headers=ann)).json()["id"]
    token = await token_for(keyed_http, feed=mine)
    writer = await token_for(keyed_http, conversation=mine)
    assert (token["feed"], token["conversation"]) == (mine, None)
    for_token = bearer(token["value"])

    async with socket_of(keyed_http, token["value"]) as socket:
        assert (await follow(socket, mine, responses=False))["newest"] == 1
        for entry in ("opened", "response.created"):
            assert (await receive(socket))["type"] == PREFIX + entry
        for id in (other, "conv_" + "0" * 32, "resp_" + "0" * 32):
            assert code_of(await follow(socket, id, stream_id="b")) == ("token_bound", 403)
        await send(socket, type="response.cancel", response_id=response, stream_id="c")
        assert code_of(await receive(socket)) == ("token_bound", 403)
        await create(socket, input="Two?", conversation=mine)
        assert code_of(await receive(socket)) == ("token_bound", 403)
    async with socket_of(keyed_http, writer["value"]) as socket:
        assert (await follow(socket, mine, responses=False))["newest"] == 1
        while "response_id" not in await receive(socket):
            pass
        assert code_of(await follow(socket, other, stream_id="b")) == ("token_bound", 403)
    for path in (f"conversations/{mine}/items", f"responses/{response}/input_items"):
        assert (await keyed_http.get(f"/v1/{path}", headers=for_token)).status_code == 200
    cancel = await keyed_http.post(f"/v1/responses/{response}/cancel", headers=for_token)
    refused = await keyed_http.get(f"/v1/conversations/{other}/feed", headers=for_token)
    assert [cancel.status_code, refused.status_code] == [403, 403]


async def test_a_stream_ends_when_the_key_of_its_token_is_revoked(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    text, key = await stored_keys.create("bob")
    made = await keyed_http.post("/v1/conversations", json={}, headers=bearer(text))
    token = bearer((await token_for(keyed_http, text, feed=made.json()["id"]))["value"])
    path = f"/v1/conversations/{made.json()['id']}/feed"
    async with asyncio.timeout(WAIT_SECONDS), keyed_http.stream("GET", path, headers=token) as sent:
        assert sent.status_code == 200
        await stored_keys.revoke(key.id)
        assert "opened" in "".join([line async for line in sent.aiter_lines()])


@pytest.mark.long
async def test_a_stream_ends_with_its_token(keyed_http: httpx2.AsyncClient) -> None:
    ann = bearer("ann")
    id = (await keyed_http.post("/v1/conversations", json={}, headers=ann)).json()["id"]
    token = await token_for(
        keyed_http, feed=id, expires_after={"anchor": "created_at", "seconds": 10}
    )
    path = f"/v1/conversations/{id}/feed"
    async with (
        asyncio.timeout(WAIT_SECONDS),
        keyed_http.stream("GET", path, headers=bearer(token["value"])) as stream,
    ):
        assert stream.status_code == 200
        assert "opened" in "".join([line async for line in stream.aiter_lines()])
