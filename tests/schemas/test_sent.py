"""What is really sent is as published and as the official SDK has it, without additional fields.

Nothing here is made up: every frame, event and body comes from turns of the running service.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import (
    CompactedResponse,
    InputTokenCountResponse,
    Response,
    ResponseItem,
)
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.processes import answers_http, python, running
from harness.ports import free_port
from harness.service import Service
from tests.schemas.published import ASYNCAPI, OPENAPI, RECEIVED, name_of, wrong
from turnstream.prompts.tools import Tool
from turnstream.turns import keys
from turnstream.turns.client import open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Turn

WAIT_SECONDS = 60
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}
#: Repeats itself (a negative penalty), so that it does not end before its limit.
LONG: dict[str, Any] = {
    "input": "Write a long story.",
    "temperature": 0,
    "frequency_penalty": -2,
    "max_output_tokens": 1500,
}
MESSAGES = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}

Json = dict[str, Any]


def redis_url(service: Service) -> str:
    return service.child("serve").environ()["TURNSTREAM_REDIS_URL"]


@pytest.fixture(scope="module")
def redis(service: Service) -> Iterator["Redis[bytes]"]:
    with Redis.from_url(redis_url(service), protocol=2) as redis:
        yield redis


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as client:
        yield client


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
    frames = asyncio.run(on_socket(service, redis))
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


async def test_responses_over_http_are_as_published(http: httpx2.AsyncClient) -> None:
    whole = (await http.post("/v1/responses", json={"input": "Hello"})).json()
    path = f"/v1/responses/{whole['id']}"
    waiting = (await http.post("/v1/responses", json=LONG | {"background": True})).json()
    seen = [
        whole,
        waiting,
        (await http.get(path)).json(),
        (await http.get(f"/v1/responses/{waiting['id']}")).json(),
        (await http.post(f"/v1/responses/{waiting['id']}/cancel")).json(),
    ]
    items = (await http.get(f"{path}/input_items")).json()
    deleted = (await http.delete(path)).json()

    for response in seen:
        assert wrong(OPENAPI, "Response", response) is None
        Response.model_validate(response, strict=True)
    assert wrong(OPENAPI, "InputItemList", items) is None
    for item in items["data"]:
        TypeAdapter(ResponseItem).validate_python(item, strict=True)
    assert wrong(OPENAPI, "Deleted", deleted) is None


async def test_input_items_of_each_role_are_as_published(http: httpx2.AsyncClient) -> None:
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]
    asked = {"input": [{"role": role, "content": text} for role, text in said]}
    made = (await http.post("/v1/responses", json=asked | {"max_output_tokens": 1})).json()

    items = (await http.get(f"/v1/responses/{made['id']}/input_items?order=asc&limit=3")).json()

    assert wrong(OPENAPI, "InputItemList", items) is None
    assert [item["role"] for item in items["data"]] == ["system", "user", "assistant"]


async def test_counts_and_compactions_are_as_published(http: httpx2.AsyncClient) -> None:
    asked = {"model": "demo", "input": "Hello"}
    counted = (await http.post("/v1/responses/input_tokens", json=asked)).json()
    compacted = (await http.post("/v1/responses/compact", json=asked)).json()

    assert wrong(OPENAPI, "InputTokens", counted) is None
    InputTokenCountResponse.model_validate(counted, strict=True)
    assert wrong(OPENAPI, "Compaction", compacted) is None
    CompactedResponse.model_validate(compacted, strict=True)


async def test_events_over_http_are_as_published(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/responses", json={"input": "Hello", "stream": True})
    events = [json.loads(data) for data in data_of(answer.text) if data != "[DONE]"]

    assert events[-1]["type"] == "response.completed"
    for event in events:
        assert wrong(OPENAPI, name_of(event), event) is None


async def test_completions_are_as_published_and_as_the_official_sdk_has_them(
    http: httpx2.AsyncClient,
) -> None:
    whole = (await http.post("/v1/chat/completions", json=MESSAGES)).json()
    assert wrong(OPENAPI, "Completion", whole) is None
    ChatCompletion.model_validate(whole, strict=True)

    for options in ({}, {"stream_options": {"include_usage": True}}):
        asked = MESSAGES | {"stream": True} | options
        answer = await http.post("/v1/chat/completions", json=asked)
        chunks = [json.loads(data) for data in data_of(answer.text) if data != "[DONE]"]
        assert len(chunks) > 2
        for chunk in chunks:
            assert wrong(OPENAPI, "Chunk", chunk) is None
            ChatCompletionChunk.model_validate(chunk, strict=True)


async def test_models_are_as_published_and_as_the_official_sdk_has_them(
    http: httpx2.AsyncClient,
) -> None:
    models = (await http.get("/v1/models")).json()
    one = (await http.get("/v1/models/demo")).json()

    assert wrong(OPENAPI, "ModelList", models) is None
    assert wrong(OPENAPI, "Model", one) is None
    Model.model_validate(one, strict=True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/responses", "{"),
        ("POST", "/v1/responses", json.dumps({"input": "many words " * 9_000})),
        ("POST", "/v1/responses", json.dumps({"input": "Hi", "model": "nobody's"})),
        ("POST", "/v1/chat/completions", "{}"),
        ("GET", "/v1/responses/x", ""),
        ("GET", "/v1/nothing", ""),
        ("PUT", "/v1/responses", ""),
        ("GET", "/v1/models/nobody's", ""),
    ],
)
async def test_errors_are_as_published(
    http: httpx2.AsyncClient, method: str, path: str, body: str
) -> None:
    answer = await http.request(method, path, content=body)

    assert answer.status_code >= 400
    assert wrong(OPENAPI, "ErrorBody", answer.json()) is None


async def test_the_document_is_served(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == OPENAPI


def data_of(stream: str) -> list[str]:
    return [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
