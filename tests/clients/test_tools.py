"""Calls of tools with the official Python SDK, unpatched: forced, chosen, streamed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from harness.json_schemas import validate
from harness.service import Service

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2, "maxLength": 12, "description": "Where"},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
FUNCTION: Any = {"name": "get_weather", "parameters": PARAMETERS, "strict": True}
OTHER: Any = {"name": "nothing"}
TOOLS: Any = [{"type": "function", **FUNCTION}, {"type": "function", **OTHER}]
CHAT_TOOLS: Any = [
    {"type": "function", "function": FUNCTION},
    {"type": "function", "function": OTHER},
]
NAMED: Any = {"type": "function", "name": "get_weather"}
CHAT_NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
MESSAGES: Any = [{"role": "user", "content": "What is the weather in Paris?"}]


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_forced_call_is_valid_and_a_conversation_goes_on_from_its_output(
    client: OpenAI,
) -> None:
    first: Any = client.responses.create(
        model="demo", input="Weather?", tools=TOOLS, tool_choice=NAMED
    )
    [call] = first.output
    then = client.responses.create(
        model="demo",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
    )

    assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
    validate(call.arguments, PARAMETERS)
    assert (first.tool_choice.type, first.tool_choice.name) == ("function", "get_weather")
    assert then.output_text


def test_the_stream_of_a_forced_call_adds_up(client: OpenAI) -> None:
    with client.responses.stream(
        model="demo", input="Weather?", tools=TOOLS, tool_choice="required"
    ) as stream:
        events: list[Any] = list(stream)
        final: Any = stream.get_final_response()

    pieces = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(pieces).startswith(final.output[0].arguments)
    assert {item.type for item in final.output} == {"function_call"}


def test_a_forced_call_of_a_completion_is_valid_whole_and_in_a_stream(client: OpenAI) -> None:
    ask: Any = {
        "model": "demo",
        "messages": MESSAGES,
        "tools": CHAT_TOOLS,
        "tool_choice": CHAT_NAMED,
        "temperature": 0,
    }
    whole: Any = client.chat.completions.create(**ask).choices[0]
    with client.chat.completions.stream(**ask) as stream:
        streamed = stream.get_final_completion().choices[0]
    calls: Any = whole.message.tool_calls
    repeated: Any = streamed.message.tool_calls
    [call], [again] = calls, repeated
    answered = client.chat.completions.create(
        model="demo",
        messages=[
            *MESSAGES,
            whole.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ],
        tools=CHAT_TOOLS,
    )

    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
    assert streamed.finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == (
        again.function.name,
        again.function.arguments,
    )
    validate(json.dumps(json.loads(call.function.arguments)), PARAMETERS)
    assert answered.choices[0].finish_reason in ("stop", "tool_calls")
