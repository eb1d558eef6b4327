"""A turn through every real part: socket, Redis, Celery worker, Llama, pub/sub, socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI
from openai.types.responses import Response
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from harness.service import Service

ANSWER_SECONDS = 60
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}
STORY = "Write a long story."

Event = dict[str, Any]


@pytest.fixture
async def socket(service: Service) -> AsyncIterator[ClientConnection]:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        yield socket


async def next_event(socket: ClientConnection) -> Event:
    async with asyncio.timeout(ANSWER_SECONDS):
        event: Event = json.loads(await socket.recv())
    return event


async def rest(socket: ClientConnection) -> list[Event]:
    events = [await next_event(socket)]
    while events[-1]["type"] not in TERMINAL:
        events.append(await next_event(socket))
    return events


async def answer(socket: ClientConnection, **fields: Any) -> list[Event]:
    await socket.send(json.dumps({"type": "response.create"} | fields))
    return await rest(socket)


def event_text(events: list[Event]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


async def test_a_turns_events_are_in_order_and_numbered_without_a_gap(
    socket: ClientConnection,
) -> None:
    events = await answer(socket, input="Do you know the movie Titanic?")

    types = [event["type"].removeprefix("response.") for event in events]
    slices = types.count("output_text.delta")
    assert types == [
        "created",
        "queued",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * slices,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert slices > 1
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]["response"]
    assert final["output"][0]["content"][0]["text"] == event_text(events) != ""
    assert final["usage"]["output_tokens"] > 0


async def test_every_event_is_valid_for_the_official_sdk(
    socket: ClientConnection,
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)

    for event in (
        *await answer(socket, input="Hello", metadata={"a": "b"}),
        *await answer(socket, input="Hello", max_output_tokens=2),
        *await answer(socket, input=""),
    ):
        adapter.validate_python(event, strict=True)
        if "response" in event:
            Response.model_validate(event["response"], strict=True)


# The SDK's own way to connect, which websockets 17 deprecates.
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_the_official_sdk_carries_a_conversation_of_three_turns(service: Service) -> None:
    client = OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0)
    previous: dict[str, Any] = {}
    answers = []
    with client, client.responses.connect() as connection:
        for question in (
            "Do you know the movie Titanic?",
            "Who is the director of the movie?",
            "Who starred in it?",
        ):
            connection.response.create(model="demo", input=question, temperature=0, **previous)
            for event in connection:
                if event.type == "response.completed":
                    answers.append(event.response.output_text)
                    previous = {"previous_response_id": event.response.id}
                    break
                assert event.type not in TERMINAL, event

    assert "Cameron" in answers[1]
    assert "DiCaprio" in answers[2]


async def test_the_official_async_sdk_streams_and_answers_over_http(service: Service) -> None:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        whole = await client.responses.create(model="demo", input="Hello", temperature=0)
        pieces = [
            event.delta
            async for event in await client.responses.create(
                model="demo", input="Hello", temperature=0, stream=True
            )
            if event.type == "response.output_text.delta"
        ]
        kept = await client.responses.retrieve(whole.id)
        models = [model.id async for model in client.models.list()]

    assert "".join(pieces) == whole.output_text == kept.output_text != ""
    assert models == ["demo"]


async def test_a_stream_over_http_can_be_read_again_from_any_number(service: Service) -> None:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        stream = await client.responses.create(model="demo", input="Hello", stream=True)
        events = [event async for event in stream]
        response_id = events[0].response.id  # type: ignore[union-attr]
        for after in (0, 5, len(events) - 2):
            again = await client.responses.retrieve(response_id, stream=True, starting_after=after)
            assert [event async for event in again] == events[after + 1 :]


async def test_turns_on_named_lanes_run_at_once_and_each_lane_keeps_its_order(
    socket: ClientConnection,
) -> None:
    lanes = ["left", "right", "left", "right"]
    for lane in lanes:
        frame = {"type": "response.create", "input": "Hello", "stream_id": lane}
        await socket.send(json.dumps(frame))
    open_on: dict[str, str] = {}
    ended = 0
    while ended < len(lanes):
        event = await next_event(socket)
        lane = event["stream_id"]
        if event["type"] == "response.created":
            assert lane not in open_on, "a second turn began on a lane before the first ended"
            open_on[lane] = event["response"]["id"]
        if event["type"] in TERMINAL:
            assert event["response"]["id"] == open_on.pop(lane)
            ended += 1


async def test_cancel_ends_a_long_answer_and_keeps_its_text(socket: ClientConnection) -> None:
    await socket.send(json.dumps({"type": "response.create", "input": STORY, "temperature": 0}))
    events = []
    while event_text(events) == "":
        events.append(await next_event(socket))
    await socket.send('{"type":"response.cancel"}')
    events += await rest(socket)

    final = events[-1]["response"]
    assert (events[-1]["type"], final["status"]) == ("response.incomplete", "cancelled")
    assert final["output"][0]["content"][0]["text"] == event_text(events)
    again = await answer(socket, input="Hello")
    assert again[-1]["type"] == "response.completed"


async def test_a_turn_continues_when_its_socket_is_closed(service: Service) -> None:
    url = service.url.replace("http", "ws", 1) + "/v1/responses"
    async with connect(url) as socket:
        frame = {"type": "response.create", "input": STORY, "max_output_tokens": 60}
        await socket.send(json.dumps(frame))
        response_id = (await next_event(socket))["response"]["id"]

    async with httpx2.AsyncClient(base_url=service.url, timeout=ANSWER_SECONDS) as client:
        path = f"/v1/responses/{response_id}?stream=true"
        text = (await client.get(path)).text
        kept = (await client.get(f"/v1/responses/{response_id}")).json()

    events = [json.loads(x[6:]) for x in text.splitlines() if x.startswith("data: {")]
    assert kept["status"] in ("completed", "incomplete")
    assert kept["output"][0]["content"][0]["text"] == event_text(events) != ""


async def test_several_turns_share_the_model(service: Service) -> None:
    async def one(client: AsyncOpenAI) -> str:
        answer = await client.responses.create(model="demo", input="Hello", temperature=0)
        return answer.output_text

    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        texts = await asyncio.gather(*(one(client) for _ in range(12)))

    assert len(set(texts)) == 1


async def test_input_items_can_be_listed_and_a_response_deleted(service: Service) -> None:
    asked = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
    ]
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        made = await client.responses.create(model="demo", input=asked)  # type: ignore[arg-type]
        listed = client.responses.input_items.list(made.id, limit=2, order="asc")
        texts = [item.content[0].text async for item in listed]  # type: ignore[union-attr]
        await client.responses.delete(made.id)
        with pytest.raises(NotFoundError):
            await client.responses.retrieve(made.id)
        with pytest.raises(NotFoundError):
            await client.responses.delete(made.id)

    assert texts == ["One?", "One.", "Two?"]


# The SDK's own way to connect, which websockets 17 deprecates.
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_the_official_sdk_can_warm_up_steer_cancel_and_continue(service: Service) -> None:
    client = OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0)
    with client, client.responses.connect() as connection:

        def until(*types: str) -> Any:
            return next(event for event in connection if event.type in types)

        connection.response.create(model="demo", generate=False, instructions="Be brief.", input=[])
        warm = until("response.completed").response
        connection.response.create(
            model="demo", input=STORY, temperature=0, previous_response_id=warm.id
        )
        running = until("response.created").response
        until("response.output_text.delta")
        connection.response.steer(previous_response_id=running.id, input="Another story, please.")
        accepted = until("response.steer.accepted")
        steered = until("response.incomplete").response
        successor = until("response.created").response
        until("response.output_text.delta")
        connection.response.steer(previous_response_id=running.id, input="Shorter!")
        failed = until("response.steer.failed")
        connection.send({"type": "response.cancel", "response_id": successor.id})  # type: ignore[arg-type]
        stopped = until("response.incomplete").response
        connection.response.create(model="demo", input="Hello", previous_response_id=stopped.id)
        after = until("response.completed").response

    assert (warm.output, warm.usage.total_tokens) == ([], 0)
    assert accepted.steer.previous_response_id == running.id
    assert (steered.id, steered.incomplete_details.reason) == (running.id, "steered")
    assert steered.output_text
    assert (successor.previous_response_id, successor.temperature) == (running.id, 0)
    assert (failed.error.code, failed.steer.input) == ("response_already_completed", "Shorter!")
    assert (stopped.id, stopped.status) == (successor.id, "cancelled")
    assert stopped.output_text
    assert after.output_text
