"""Calls of tools with the official Python SDK, unpatched: forced, chosen, streamed."""

import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from harness.json_schemas import validate

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


def test_a_stored_call_may_be_named_by_its_id(client: OpenAI) -> None:
    first: Any = client.responses.create(
        model="demo", input="Weather?", tools=TOOLS, tool_choice=NAMED
    )
    [call] = first.output
    items: Any = [
        {"role": "user", "content": "Weather?"},
        {"type": "item_reference", "id": call.id},
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    then = client.responses.create(model="demo", input=items, tools=TOOLS)
    stored = client.responses.input_items.list(then.id, order="asc").data
    unknown: Any = [items[0], {"type": "item_reference", "id": call.id[:-1] + "7"}, items[2]]
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model="demo", input=unknown, previous_response_id=first.id)

    again: Any = stored[1]
    assert (again.name, again.arguments, again.call_id) == (call.name, call.arguments, call.call_id)
    assert then.output
    assert (refused.value.code, refused.value.param) == ("item_not_found", "input[1].id")


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


def test_functions_of_before_tools_are_answered_in_their_own_form(client: OpenAI) -> None:
    bare = {name: value for name, value in FUNCTION.items() if name != "strict"}
    ask: Any = {
        "model": "demo",
        "messages": MESSAGES,
        "functions": [bare],
        "function_call": {"name": "get_weather"},
        "temperature": 0,
    }
    whole: Any = client.chat.completions.create(**ask).choices[0]
    chunks: Any = [chunk.choices[0] for chunk in client.chat.completions.create(**ask, stream=True)]
    pieces = [chunk.delta.function_call for chunk in chunks if chunk.delta.function_call]
    call = whole.message.function_call
    answered = client.chat.completions.create(
        model="demo",
        messages=[
            *MESSAGES,
            whole.message.model_dump(exclude_none=True),
            {"role": "function", "name": "get_weather", "content": "sunny"},
        ],
        functions=[bare],
    )

    assert (whole.finish_reason, whole.message.tool_calls) == ("function_call", None)
    validate(call.arguments, PARAMETERS)
    assert [piece.name for piece in pieces][:2] == ["get_weather", None]
    assert "".join(piece.arguments for piece in pieces) == call.arguments
    assert chunks[-1].finish_reason == "function_call"
    assert answered.choices[0].message.content


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_schema_that_calls_cannot_be_held_to_is_refused_only_where_they_are(
    client: OpenAI, choice: Any
) -> None:
    broken = {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}
    ask: Any = {"model": "demo", "input": "Hi", "max_output_tokens": 1, "tool_choice": choice}
    ask["tools"] = [{"type": "function", "name": "f", "parameters": broken, "strict": False}]
    if choice == "auto":
        assert client.responses.create(**ask).status == "incomplete"
        return
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(**ask)

    assert refused.value.param == "tools[0].parameters.properties.a"
    assert refused.value.code == "invalid_json_schema"
