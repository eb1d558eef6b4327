"""A turn is resumed by handshake or by frame, at any node, with its log stored or expired."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Iterator

import httpx2
import pytest
from redis import Redis
from websockets.asyncio.client import connect

from benchmarks.processes import answers_http, python, running
from harness.ports import free_port
from harness.reader import event_text, text_of
from harness.service import Service
from tests.end_to_end.story import Event, ask, begun, numbers, read, resumed, socket_url
from turnstream.turns import keys

#: Keys of the other node; `local` is the owner of all turns at a node without keys.
OWNERS = ("ann", "bob", "local")


@pytest.fixture(scope="module")
def redis(service: Service) -> Iterator["Redis[bytes]"]:
    """The service's own Redis."""
    with Redis.from_url(redis_url(service), protocol=2) as redis:
        yield redis


@pytest.fixture(scope="module")
def elsewhere(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another node on the same Redis, which requires keys; give its URL."""
    port = free_port()
    owners = {owner: hashlib.sha256(f"key-of-{owner}".encode()) for owner in OWNERS}
    environ = {
        "TURNSTREAM_REDIS_URL": redis_url(service),
        "TURNSTREAM_PORT": str(port),
        "TURNSTREAM_API_KEYS": ",".join(f"{k}:{v.hexdigest()}" for k, v in owners.items()),
    }
    command, directory = python("turnstream", "serve"), tmp_path_factory.mktemp("elsewhere")
    with running("serve", *command, directory=directory, environ=environ) as process:
        process.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/healthz"))
        yield f"http://127.0.0.1:{port}"


def redis_url(service: Service) -> str:
    return service.child("serve").environ()["TURNSTREAM_REDIS_URL"]


def key_of(owner: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{owner}"}


async def test_a_turn_is_resumed_by_the_query_of_a_handshake(service: Service) -> None:
    head = await begun(service.url)
    query = {
        "resume_response_id": head[0]["response"]["id"],
        "starting_after": head[-1]["sequence_number"],
        "stream_id": "left",
    }

    async with connect(socket_url(service.url, **query)) as socket:
        tail = await read(socket)

    assert {event["stream_id"] for event in tail} == {"left"}
    assert numbers(head + tail) == list(range(len(head + tail)))
    assert event_text(head + tail) == text_of(tail[-1]["response"]) != ""


async def test_a_turn_is_resumed_by_a_frame_on_a_named_lane_while_another_lane_answers(
    service: Service,
) -> None:
    head = await begun(service.url)
    place = {
        "response_id": head[0]["response"]["id"],
        "starting_after": head[-1]["sequence_number"],
        "stream_id": "left",
    }

    async with connect(socket_url(service.url)) as socket:
        await ask(socket, input="Hello", max_output_tokens=4, stream_id="right")
        both = await resumed(socket, **place)
        both += await read(socket)

    tail = [event for event in both if event["stream_id"] == "left"]
    other = [event for event in both if event["stream_id"] == "right"]
    assert numbers(head + tail) == list(range(len(head + tail)))
    assert event_text(head + tail) == text_of(tail[-1]["response"])
    assert numbers(other) == list(range(len(other)))


async def test_resuming_an_unknown_turn_is_not_found_and_the_lane_stays_usable(
    service: Service,
) -> None:
    async with connect(socket_url(service.url)) as socket:
        [refusal] = await resumed(socket, response_id="resp_" + 32 * "0", stream_id="left")
        await ask(socket, input="Hello", max_output_tokens=4, stream_id="left")
        answer = await read(socket)

    assert (refusal["status"], refusal["stream_id"]) == (404, "left")
    assert refusal["error"]["code"] == "response_not_found"
    assert answer[-1]["type"] != "error"


async def test_another_owners_turn_gets_the_same_error_as_an_unknown_one(
    elsewhere: str,
) -> None:
    theirs = (await begun(elsewhere, key_of("ann")))[0]["response"]["id"]
    nobodys = "resp_" + 32 * "0"

    async with connect(socket_url(elsewhere), additional_headers=key_of("bob")) as socket:
        [foreign] = await resumed(socket, response_id=theirs)
        [unknown] = await resumed(socket, response_id=nobodys)

    assert foreign["error"]["code"] == "response_not_found"
    assert json.dumps(foreign).replace(theirs, nobodys) == json.dumps(unknown)


async def test_an_ended_turn_is_replayed_from_any_number(service: Service) -> None:
    async with connect(socket_url(service.url)) as socket:
        await ask(socket, input="Hello", max_output_tokens=8)
        events = await read(socket)
        for after in (-1, 0, 5, len(events) - 2):
            again = await resumed(
                socket, response_id=events[0]["response"]["id"], starting_after=after
            )
            assert again == events[after + 1 :]


async def test_several_sockets_on_two_nodes_follow_one_turn_to_its_end(
    service: Service, elsewhere: str
) -> None:
    head = await begun(service.url)
    response_id = head[0]["response"]["id"]

    async def follow(url: str, after: int) -> list[Event]:
        url = socket_url(url, resume_response_id=response_id, starting_after=after)
        async with connect(url, additional_headers=key_of("local")) as socket:
            return await read(socket)

    whole, here, there = await asyncio.gather(
        follow(elsewhere, 0), follow(service.url, 2), follow(elsewhere, len(head) - 1)
    )

    assert numbers(whole) == list(range(1, whole[-1]["sequence_number"] + 1))
    assert here == whole[2:]
    assert there == whole[len(head) - 1 :]
    assert event_text(whole) == text_of(whole[-1]["response"])


async def test_a_turn_that_is_not_stored_can_be_resumed_after_a_disconnect(
    service: Service, http: httpx2.AsyncClient
) -> None:
    head = await begun(service.url, store=False)

    async with connect(socket_url(service.url)) as socket:
        tail = await resumed(
            socket,
            response_id=head[0]["response"]["id"],
            starting_after=head[-1]["sequence_number"],
        )

    assert tail[-1]["response"]["status"] in ("completed", "incomplete")
    assert numbers(head + tail) == list(range(len(head + tail)))
    assert event_text(head + tail) == text_of(tail[-1]["response"])


async def test_an_ended_turn_whose_log_expired_is_replayed_as_a_snapshot(
    service: Service, http: httpx2.AsyncClient, redis: "Redis[bytes]"
) -> None:
    answer = await http.post("/v1/responses", json={"input": "Hello", "max_output_tokens": 8})
    response = answer.json()
    redis.delete(keys.log(response["id"]))

    async with connect(socket_url(service.url)) as socket:
        events = await resumed(socket, response_id=response["id"], starting_after=4)
    stream = await http.get(f"/v1/responses/{response['id']}?stream=true&starting_after=4")

    assert all(event["snapshot"] is True for event in events)
    assert events[0]["type"] == "response.output_text.done"
    assert events[0]["text"] == text_of(response)
    assert events[-1]["response"] == response
    names = [line[7:] for line in stream.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]


async def test_an_unstored_turn_whose_log_expired_gets_stream_expired(
    service: Service, http: httpx2.AsyncClient, redis: "Redis[bytes]"
) -> None:
    body = {"input": "Hello", "max_output_tokens": 8, "store": False}
    response_id = (await http.post("/v1/responses", json=body)).json()["id"]
    redis.delete(keys.log(response_id))

    async with connect(socket_url(service.url)) as socket:
        [refusal] = await resumed(socket, response_id=response_id, starting_after=4)

    assert (refusal["status"], refusal["error"]["code"]) == (400, "stream_expired")


async def test_what_another_owner_asked_shows_in_no_number_of_cached_tokens(elsewhere: str) -> None:
    asked = {"input": f"My word is {secrets.token_hex(40)}. What is yours?", "max_output_tokens": 2}

    async def cached(owner: str, question: dict[str, object] = asked) -> int:
        async with httpx2.AsyncClient(base_url=elsewhere, headers=key_of(owner)) as http:
            response = await http.post("/v1/responses", json=question, timeout=60)
        usage = response.json()["usage"]
        assert usage["input_tokens"] > usage["input_tokens_details"]["cached_tokens"]
        return int(usage["input_tokens_details"]["cached_tokens"])

    await cached("ann")
    same_owner = await cached("ann")
    system_only = await cached("bob", asked | {"input": "Hello"})
    guessed = await cached("bob")
    # The default system text is nobody's own and common to all.
    assert same_owner > guessed == system_only > 16
