"""The rules of Open Responses' acceptance suite that a text model can keep, over HTTP and socket.

The suite itself needs a network to be fetched; its rules are these. Tool calls and images, which
it asks for too, are not for a text model: they get a clear error.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai.types.responses import Response
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from harness.service import Service
from tests.end_to_end.test_socket import TERMINAL, answer, rest
from tests.end_to_end.transports import WAIT_SECONDS, Event, Transport, over_http, over_socket

UNKNOWN = "resp_" + 32 * "e"
#: Required fields of a response; each may be null.
KEYS = set(
    """id object created_at completed_at status background error incomplete_details instructions
    max_output_tokens max_tool_calls model output parallel_tool_calls previous_response_id reasoning
    service_tier store temperature text tool_choice tools top_logprobs top_p truncation usage
    metadata presence_penalty frequency_penalty safety_identifier prompt_cache_key""".split()  # noqa: SIM905  as the text lists them
)
#: Only there if the request had them.
RETURNED = {"user", "prompt_cache_retention"}
TITANIC = [
    {"type": "message", "role": "user", "content": "Do you know the movie Titanic?"},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Yes, I do. It is a film of 1997."}],
        "phase": "final_answer",
    },
    {"type": "message", "role": "user", "content": "Who is the director of the movie?"},
]


@pytest.fixture(params=[over_http, over_socket])
async def ask(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Transport]:
    async with request.param(service) as transport:
        yield transport


@pytest.fixture
async def socket(service: Service) -> AsyncIterator[ClientConnection]:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        yield socket


def final_of(events: list[Event]) -> Response:
    """Check all events of a turn and return its response."""
    adapter: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
    for event in events:
        adapter.validate_python(event, strict=True)
        if "response" in event:
            assert set(event["response"]) - {"queue"} - RETURNED == KEYS
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert [event["type"] for event in events if event["type"] in TERMINAL] == [
        "response.completed"
    ]
    final = Response.model_validate(events[-1]["response"], strict=True)
    assert final.status == "completed"
    assert final.output_text
    assert final.usage is not None
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens > 0
    return final


def error_of(events: list[Event]) -> tuple[int, str]:
    assert events[-1]["type"] == "error", events[-1]
    return events[-1]["status"], events[-1]["error"]["code"]


async def test_a_plain_turn_is_answered(ask: Transport) -> None:
    final_of(await ask(model="demo", input="Say hello."))


async def test_a_plain_turn_without_a_stream_is_the_same_object(service: Service) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as client:
        body = (await client.post("/v1/responses", json={"input": "Say hello."})).json()

    assert set(body) == KEYS
    assert Response.model_validate(body, strict=True).status == "completed"


async def test_a_system_prompt_is_taken(ask: Transport) -> None:
    system = {"type": "message", "role": "system", "content": "You are a pirate."}
    user = {"type": "message", "role": "user", "content": "Say hello."}

    final_of(await ask(model="demo", input=[system, user]))


async def test_a_conversation_is_taken_with_phases_in_it(ask: Transport) -> None:
    final = final_of(await ask(model="demo", input=TITANIC, temperature=0))

    assert "Cameron" in final.output_text


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]},
            "input[0].content[0].type",
            "unsupported_value",
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]},
            "input[0].content[0].type",
            "unsupported_value",
        ),
        (
            {"type": "function_call_output", "call_id": "call_1", "output": "7"},
            "input",
            "invalid_value",
        ),
    ],
)
async def test_input_that_cannot_be_answered_is_refused_by_name(
    ask: Transport, item: Event, param: str, code: str
) -> None:
    events = await ask(model="demo", input=[item])

    assert error_of(events) == (400, code)
    assert events[-1]["error"]["param"] == param


async def test_a_call_is_made_where_one_is_required(ask: Transport) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    tools = [{"type": "function", "name": "weather", "parameters": parameters}]
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": tools}
    for choice in ("auto", "none", allowed, None):
        events = await ask(model="demo", input="Hello", tools=tools, tool_choice=choice)
        final_of(events)
        for event in (events[0], events[-1]):
            returned = event["response"]
            assert returned["tool_choice"] == (choice or "auto")
            assert returned["tools"] == [{**tools[0], "description": None, "strict": None}]
    for choice in ("required", {"type": "function", "name": "weather"}):
        events = await ask(model="demo", input="Hello", tools=tools, tool_choice=choice)
        assert events[-1]["type"] == "response.completed"
        call = events[-1]["response"]["output"][0]
        assert (call["type"], call["name"], call["status"]) == (
            "function_call",
            "weather",
            "completed",
        )
        assert json.loads(call["arguments"])["city"] in ("Paris", "Rome")


async def test_structured_output_is_of_its_schema(ask: Transport) -> None:
    text = {"format": {"type": "json_schema", "name": "x", "schema": {"enum": [3, "b"]}}}
    events = await ask(model="demo", input="Hello", text=text)

    final_of(events)
    [item] = events[-1]["response"]["output"]
    assert json.loads(item["content"][0]["text"]) in (3, "b")


async def test_a_continuation_has_the_earlier_messages(ask: Transport) -> None:
    first = final_of(await ask(input="Do you know the movie Titanic?", temperature=0))
    question = "Who is the director of the movie?"

    second = final_of(await ask(input=question, previous_response_id=first.id, temperature=0))

    assert "Cameron" in second.output_text
    assert second.previous_response_id == first.id


async def test_an_unknown_previous_response_is_an_error(ask: Transport) -> None:
    events = await ask(input="Hello", previous_response_id=UNKNOWN)

    assert error_of(events) == (400, "previous_response_not_found")
    assert events[-1]["error"]["param"] == "previous_response_id"


async def test_a_new_chain_begins_after_compaction(ask: Transport, service: Service) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as client:
        body = {"model": "demo", "input": TITANIC[:2]}
        compacted = (await client.post("/v1/responses/compact", json=body)).json()

    first = final_of(await ask(input=[*compacted["output"], TITANIC[2]], temperature=0))
    second = final_of(await ask(input="Who starred in it?", previous_response_id=first.id))

    assert "Cameron" in first.output_text
    assert second.previous_response_id == first.id


async def test_turns_one_after_the_other_on_a_socket_never_overlap(
    socket: ClientConnection,
) -> None:
    for text in ("Hello", "Do you know the movie Titanic?"):
        await socket.send(json.dumps({"type": "response.create", "input": text}))
    first, second = await rest(socket), await rest(socket)

    assert final_of(first).id != final_of(second).id
    assert not any("stream_id" in event for event in (*first, *second))


async def test_a_response_that_is_not_stored_cannot_be_continued_after_a_reconnect(
    service: Service, socket: ClientConnection
) -> None:
    first = final_of(await answer(socket, input="Hello", store=False))
    second = final_of(
        await answer(socket, input="Hello", store=False, previous_response_id=first.id)
    )
    async with over_socket(service) as again:
        events = await again(input="Hello", previous_response_id=second.id)

    assert error_of(events) == (400, "previous_response_not_found")


async def test_a_failed_continuation_evicts_the_previous_response(socket: ClientConnection) -> None:
    first = final_of(await answer(socket, input="Hello", store=False))
    output = {"type": "function_call_output", "call_id": "call_unknown", "output": "7"}
    failed = await answer(socket, input=[output], previous_response_id=first.id, store=False)
    events = await answer(socket, input="Hello", previous_response_id=first.id, store=False)

    assert failed[-1]["type"] == "error"
    assert error_of(events) == (400, "previous_response_not_found")


async def test_fields_that_clients_always_send_are_returned(ask: Transport) -> None:
    returned: dict[str, Any] = {
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "user": "u",
    }
    final = final_of(
        await ask(
            model="demo",
            input="Hello",
            include=["reasoning.encrypted_content"],
            reasoning={"summary": "auto"},
            text={"verbosity": "low"},
            **returned,
            client_metadata={"a": "b"},
            stream_options={"include_obfuscation": False},
            top_logprobs=0,
            max_tool_calls=None,
            conversation=None,
            metadata=None,
        )
    )

    assert {name: getattr(final, name) for name in returned} == returned
    assert final.reasoning is not None
    assert final.text is not None
    assert (final.reasoning.summary, final.text.verbosity) == ("auto", "low")
