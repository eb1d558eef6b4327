"""What a socket sends is as published and as the official SDK has it, without additional fields.

Nothing here is made up: every frame comes from turns of the running service.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from openai.types.responses import Response
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.processes import answers_http, python, running
from harness.ports import free_port
from harness.service import Service
from tests.schemas.published import ASYNCAPI, LONG, RECEIVED, Json, name_of, wrong
from turnstream.prompts.tools import Tool
from turnstream.turns import keys
from turnstream.turns.client import open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Turn

WAIT_SECONDS = 60
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}


def redis_url(service: Service) -> str:
    return service.child("serve").environ()["TURNSTREAM_REDIS_URL"]


@pytest.fixture(scope="module")
def redis(service: Service) -> Iterator["Redis[bytes]"]:
    with Redis.from_url(redis_url(service), protocol=2) as redis:
        yield redis


@asynccontextmanager
async def socket_at(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(url.replace("http", "ws", 1) + "/v1/responses") as socket:
        yield socket


async def receive(socket: ClientConnection, until: set[str] = TERMINAL) -> list[Json]:
    frames: list[Json] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while not frames or frames[-1]["type"] not in until:
            frames.append(json.loads(await socket.recv()))
    return frames


async def ask(socket: ClientConnection, **fields: Any) -> list[Json]:
    await socket.send(json.dumps({"type": "response.create"} | fields))
    return await receive(socket)


@pytest.fixture(scope="module")
def received(
    service: Service, redis: "Redis[bytes]", tmp_path_factory: pytest.TempPathFactory
) -> list[Json]:
    """Cause every kind of frame on a socket and return all that were received."""
    frames = asyncio.run(on_socket(service, redis)) + asyncio.run(with_token(service))
    port = free_port()
    environ = {"TURNSTREAM_REDIS_URL": redis_url(service), "TURNSTREAM_PORT": str(port)}
    directory = tmp_path_factory.mktemp("node")
    with running(
        "serve", *python("turnstream", "serve"), directory=directory, environ=environ
    ) as node:
        node.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/healthz"))
        frames += asyncio.run(draining(f"http://127.0.0.1:{port}", node.popen.terminate))
    return frames


async def calling(service: Service) -> str:
    """Submit a turn that is answered by a call of a tool; return its id when it has ended."""
    turn = Turn(
        id=new_response_id(),
        owner="local",
        model="demo",
        tier="default",
        input=(Message("user", "Hello"),),
        request=Request(
            instructions=None,
            sampling=SamplingParams(temperature=0),
            tools=(Tool(name="now"),),
            tool_choice="required",
            parallel_tool_calls=False,
        ),
        previous_response_id=None,
        previous_cached=False,
        store=True,
        metadata={},
        created_at=int(time.time()),
    )
    async with (
        asyncio.timeout(WAIT_SECONDS),
        open_client(TurnSettings(redis_url=redis_url(service)), "node-of-tests") as client,
        client.submit(turn) as follower,
    ):
        async for _ in follower.batches():
            pass
    return turn.id


async def on_socket(service: Service, redis: "Redis[bytes]") -> list[Json]:
    async with socket_at(service.url) as socket:
        frames = await ask(socket, input="Hello", metadata={"a": "b"}, instructions="Be brief.")
        first = frames[-1]["response"]["id"]
        # Cut short, on a named lane, with all that a request may say of it.
        frames += await ask(
            socket,
            input=[{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
            previous_response_id=first,
            max_output_tokens=2,
            truncation="auto",
            service_tier="flex",
            store=False,
            top_k=5,
            seed=1,
            frequency_penalty=0.5,
            stream_id="left",
        )
        tool = {"type": "function", "name": "f", "parameters": {"enum": [{}]}}
        form = {"type": "json_schema", "name": "s", "schema": {"enum": [1]}}
        frames += await ask(socket, input="Call.", tools=[tool], tool_choice="required")
        frames += await ask(socket, input="Say it.", text={"format": form})
        frames += await ask(socket, input="")
        frames += await ask(socket, input="", stream_id="left")
        # Found to be bad by the worker only.
        frames += await ask(socket, input="many words " * 9_000)
        await socket.send(json.dumps({"type": "response.create"} | LONG))
        frames += await receive(socket, {"response.output_text.delta"})
        await socket.send(json.dumps({"type": "response.cancel"}))
        frames += await receive(socket)
        steer = {"type": "response.steer", "previous_response_id": first, "input": "Shorter!"}
        await socket.send(json.dumps(steer))
        frames += await receive(socket, {"response.steer.failed"})
        frames += await steered(socket)
        frames += await followed(socket, service.url)
        # Its slices gone, its end is told from the record.
        redis.delete(keys.log(first))
        resume = {"type": "turnstream:response.resume", "response_id": first}
        await socket.send(json.dumps(resume))
        frames += await receive(socket)
        # The same of a call of a tool, before and after its log expires.
        called = {"type": "turnstream:response.resume", "response_id": await calling(service)}
        await socket.send(json.dumps(called))
        frames += await receive(socket)
        redis.delete(keys.log(called["response_id"]))
        await socket.send(json.dumps(called))
        frames += await receive(socket)
        # Its time over before anybody took it, it is given up.
        worker = service.child("worker")
        worker.suspend()
        try:
            await socket.send(json.dumps({"type": "response.create", "input": "Hello"}))
            waiting = await receive(socket, {"response.queued"})
            redis.zadd(keys.deadlines(), {waiting[0]["response"]["id"]: 1})
            return frames + waiting + await receive(socket)
        finally:
            worker.resume()


async def steered(socket: ClientConnection) -> list[Json]:
    """Steer an answer, its successor, which is cancelled then, and one that calls a tool."""
    steer = {"type": "response.steer", "input": "Shorter!"}
    await socket.send(json.dumps({"type": "response.create"} | LONG))
    frames = await receive(socket, {"response.output_text.delta"})
    parent = frames[0]["response"]["id"]
    await socket.send(json.dumps(steer | {"previous_response_id": parent}))
    frames += await receive(socket)
    frames += await receive(socket, {"response.output_text.delta"})
    successor = frames[-1]["item_id"].replace("msg_", "resp_")
    await socket.send(json.dumps({"type": "response.cancel", "response_id": successor}))
    frames += await receive(socket)
    await socket.send(json.dumps(steer | {"previous_response_id": successor}))
    frames += await receive(socket, {"response.steer.failed"})
    # It goes on for long enough to be steered once it has begun.
    text = {"type": "string", "minLength": 300, "maxLength": 300}
    parameters = {
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": False,
    }
    tool = {"type": "function", "name": "f", "parameters": parameters, "strict": True}
    call = {"input": "Call.", "tools": [tool], "tool_choice": "required"}
    await socket.send(json.dumps({"type": "response.create"} | call))
    begun = await receive(socket, {"response.output_item.added"})
    frames += begun
    calling = {"previous_response_id": begun[0]["response"]["id"]}
    await socket.send(json.dumps(steer | calling))
    return frames + await receive(socket, {"response.steer.pending"})


async def followed(socket: ClientConnection, url: str) -> list[Json]:
    """Follow a conversation to its deletion, and no more after that."""
    feed = "turnstream:conversation."
    async with httpx2.AsyncClient(base_url=f"{url}/v1/conversations") as http:
        id = (await http.post("", json={})).json()["id"]
        follow = {"type": f"{feed}follow", "conversation": id, "stream_id": "feed"}
        await socket.send(json.dumps(follow))
        frames = await receive(socket, {f"{feed}opened"})
        added = await http.post(f"/{id}/items", json={"items": [{"role": "user", "content": "x"}]})
        await http.delete(f"/{id}/items/{added.json()['first_id']}")
        create = {"type": "response.create", "conversation": id, "max_output_tokens": 2}
        await socket.send(json.dumps(create | {"input": "Hello"}))
        frames += await receive(socket, {f"{feed}response.ended"})
        response_id = next(frame["response_id"] for frame in frames if "response_id" in frame)
        if not any(frame["type"] in TERMINAL and "stream_id" not in frame for frame in frames):
            frames += await receive(socket)
        await http.delete(f"{url}/v1/responses/{response_id}")
        await http.delete(f"/{id}")
        frames += await receive(socket, {f"{feed}deleted"})
    await socket.send(json.dumps({"type": f"{feed}unfollow", "stream_id": "feed"}))
    return frames + await receive(socket, {f"{feed}unfollowed"})


async def with_token(service: Service) -> list[Json]:
    """Use a socket until its client token expires, and go on with another one."""
    url = redis_url(service)
    async with open_client(TurnSettings(redis_url=url), "node-of-tests") as client:
        text, _ = await client.api_keys.create_token(
            None, 0, owner="local", expires_at=int(time.time()) + 1
        )
        another, _ = await client.api_keys.create_token(
            None, 0, owner="local", expires_at=int(time.time()) + 600
        )
    address = service.url.replace("http", "ws", 1) + "/v1/responses"
    headers = {"authorization": f"Bearer {text}"}
    async with connect(address, additional_headers=headers) as socket:
        frames = await receive(socket, {"turnstream:token.expired"})
        refresh = {"type": "turnstream:token.refresh", "token": another}
        await socket.send(json.dumps(refresh))
        return frames + await receive(socket, {"turnstream:token.refreshed"})


async def draining(url: str, stop: Any) -> list[Json]:
    async with socket_at(url) as socket:
        stop()
        return await receive(socket, {"turnstream:server.draining"})


def test_every_frame_is_as_published(received: list[Json]) -> None:
    said = {wrong(ASYNCAPI, name_of(frame), frame) for frame in received}

    assert said == {None}


def test_every_published_frame_was_received(received: list[Json]) -> None:
    assert {name_of(frame) for frame in received} == set(RECEIVED)
    statuses = {frame["response"]["status"] for frame in received if "response" in frame}
    assert statuses == {"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"}
    assert {True, None} == {frame.get("snapshot") for frame in received}


def test_every_event_is_as_the_official_sdk_has_it(received: list[Json]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)

    for frame in received:
        if not frame["type"].startswith("turnstream:"):
            adapter.validate_python(frame, strict=True)
        if "response" in frame:
            Response.model_validate(frame["response"], strict=True)


def test_an_additional_field_is_not_as_published(received: list[Json]) -> None:
    for frame in received:
        assert wrong(ASYNCAPI, name_of(frame), frame | {"more": 1})
        if "response" in frame:
            wider = frame | {"response": frame["response"] | {"more": 1}}
            assert wrong(ASYNCAPI, name_of(frame), wider)
