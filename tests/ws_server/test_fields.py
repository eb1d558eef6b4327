"""Every field of the official SDKs has a decision, and the decision is what happens."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params, responses_client_event_param

from tests.ws_server.field_samples import (
    ALLOWED,
    BASE,
    BESIDE,
    FUNCTION,
    ONE_VALUE,
    RETURNED,
    SAMPLES,
    SEEN_ELSEWHERE,
    TABLES,
    Fields,
)
from turnstream.turns.errors import BadRequest
from turnstream.turns.response import new_response
from turnstream.turns.turn import Turn
from turnstream.ws_server import requests
from turnstream.ws_server.chat_request import ChatRequest, read_chat
from turnstream.ws_server.create import Create, read_create
from turnstream.ws_server.directory import Model
from turnstream.ws_server.fields import CHAT, RESPONSES, Decision, Honoured, Refused, Returned


def read(table: str, **fields: Any) -> Create | ChatRequest:
    return (read_create if table == "responses" else read_chat)(BASE[table] | fields)


def response(table: str, **fields: Any) -> Fields:
    made = read(table, **fields)
    create = made.create if isinstance(made, ChatRequest) else made
    turn: Turn = create.turn("ann", Model(name="m"), previous_cached=False)
    found: Fields = json.loads("{" + new_response(turn))
    return found


def decided(kind: type[Decision]) -> list[tuple[str, str]]:
    return [
        (table, name)
        for table, decisions in TABLES.items()
        for name, decision in decisions.items()
        if isinstance(decision, kind)
    ]


def python_names() -> set[str]:
    kinds = (
        response_create_params.ResponseCreateParamsBase,
        response_create_params.ResponseCreateParamsStreaming,
        responses_client_event_param.ResponseCreate,
        chat_create_params.CompletionCreateParamsBase,
        chat_create_params.CompletionCreateParamsStreaming,
        completion_create_params.CompletionCreateParamsBase,
        completion_create_params.CompletionCreateParamsStreaming,
    )
    return {name for kind in kinds for name in kind.__annotations__} - {"type"}


def node_names(modules: Path) -> set[str]:
    names: set[str] = set()
    resources = modules / "openai" / "resources"
    for file, interface in (
        ("responses/responses.d.ts", "ResponseCreateParamsBase"),
        ("chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase"),
        ("completions.d.ts", "CompletionCreateParamsBase"),
    ):
        text = (resources / file).read_text(encoding="utf-8")
        body = re.search(rf"^export interface {interface} {{\n(.*?)^}}", text, re.M | re.S)
        assert body is not None, f"{interface} is somewhere else"
        found = re.findall(r"^    (\w+)\??:", body[1], re.M)
        assert len(found) > 10
        names.update(found)
    return names


@pytest.mark.parametrize("table", TABLES)
def test_no_field_of_the_python_sdk_is_without_a_decision(table: str) -> None:
    assert len(python_names()) > 50
    assert python_names() - TABLES[table].keys() == set()


@pytest.mark.parametrize("table", TABLES)
def test_no_field_of_the_node_sdk_is_without_a_decision(table: str, node_modules: Path) -> None:
    assert node_names(node_modules) - TABLES[table].keys() == set()


@pytest.mark.parametrize(
    ("kind", "decisions"), [(requests.ResponseBody, RESPONSES), (requests.CompletionBody, CHAT)]
)
def test_no_field_that_is_decoded_is_refused_or_without_a_decision(
    kind: Any, decisions: Mapping[str, Decision]
) -> None:
    taken = {name for name, each in decisions.items() if not isinstance(each, Refused)}

    assert set(kind.__struct_fields__) - taken == set()


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (table, name)
        for table, name in decided(Honoured)
        if name not in SEEN_ELSEWHERE[table] | ONE_VALUE
    ],
)
def test_a_field_that_is_honoured_changes_the_turn(table: str, name: str) -> None:
    # By default a response is stored, and a chat completion is not.
    value = SAMPLES.get(name, table == "chat")

    assert read(table, **{name: value}) != read(table)


def test_every_field_that_is_returned_has_a_sample() -> None:
    assert all(name in RETURNED[table] for table, name in decided(Returned))


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table, fields in RETURNED.items() for name in fields]
)
def test_a_field_that_is_returned_is_in_the_response(table: str, name: str) -> None:
    value, expected = RETURNED[table][name]

    found = response(table, **{name: value} | BESIDE.get(name, {}))

    assert {key: found[key] for key in expected} == expected
    assert {key: response(table).get(key) for key in expected} != expected


@pytest.mark.parametrize(("table", "name"), decided(Refused))
def test_a_field_that_is_refused_is_named_and_harmless_only_where_it_says_so(
    table: str, name: str
) -> None:
    decision = TABLES[table][name]
    assert isinstance(decision, Refused)

    with pytest.raises(BadRequest) as refused:
        read(table, **{name: {"some": "thing"}})

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", name)
    assert decision.hint in str(refused.value)
    for value in (None, *decision.harmless):
        assert read(table, **{name: value}) == read(table)


@pytest.mark.parametrize(
    ("table", "fields", "right"),
    [
        ("responses", {"messages": []}, "input"),
        ("responses", {"max_tokens": 4}, "max_output_tokens"),
        ("responses", {"max_completion_tokens": 4}, "max_output_tokens"),
        ("responses", {"response_format": {"type": "json_object"}}, "text.format"),
        ("responses", {"stop": ["I"]}, "/v1/chat/completions"),
        ("responses", {"n": 2}, "/v1/chat/completions"),
        ("chat", {"input": "Hi"}, "messages"),
        ("chat", {"max_output_tokens": 4}, "max_completion_tokens"),
        ("chat", {"instructions": "Hi"}, "system message"),
        ("chat", {"text": {"verbosity": "low"}}, "verbosity"),
        ("chat", {"best_of": 3}, "/v1/completions"),
    ],
)
def test_a_name_of_another_endpoint_is_refused_with_the_right_one(
    table: str, fields: Fields, right: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        read(table, **fields)

    assert (refused.value.param,) == tuple(fields)
    assert right in str(refused.value)


@pytest.mark.parametrize(
    ("table", "fields", "code", "param"),
    [
        ("responses", {"include": ["bogus"]}, "invalid_value", "include[0]"),
        ("responses", {"tools": [{"name": "f"}]}, "invalid_value", "tools[0].type"),
        ("responses", {"text": {"verbosity": "x"}}, "invalid_value", "text.verbosity"),
        ("responses", {"reasoning": {"effort": "x"}}, "invalid_value", "reasoning.effort"),
        ("responses", {"user": "x" * 513}, "invalid_value", "user"),
        ("responses", {"seed": 2**63}, "invalid_value", "seed"),
        ("responses", {"service_tier": "scale"}, "invalid_value", "service_tier"),
        (
            "responses",
            {"tool_choice": ALLOWED | {"mode": "required"}},
            "invalid_value",
            "tool_choice",
        ),
        (
            "responses",
            {"stream_options": {"include_obfuscation": True}},
            "unsupported_value",
            "stream_options.include_obfuscation",
        ),
        ("chat", {"modalities": ["text", "audio"]}, "unsupported_value", "modalities[1]"),
        ("chat", {"function_call": {"name": "f"}}, "invalid_value", "tool_choice"),
        ("responses", {"tools": [{"type": "mcp"}]}, "unsupported_parameter", "tools[0].type"),
        ("responses", {"tool_choice": {"type": "mcp"}}, "unsupported_parameter", "tool_choice"),
        ("chat", {"tools": [{"function": FUNCTION}]}, "invalid_value", "tools[0].type"),
        (
            "chat",
            {"stream_options": {"include_obfuscation": True}},
            "unsupported_value",
            "stream_options.include_obfuscation",
        ),
    ],
)
def test_a_value_that_is_not_served_is_named(
    table: str, fields: Fields, code: str, param: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        read(table, **fields)

    assert (refused.value.code, refused.value.param) == (code, param)


def test_an_object_as_user_is_returned_too() -> None:
    user = {"name": "Ann", "id": "1"}

    assert response("chat", user=user)["user"] == user


def test_a_response_has_nothing_of_fields_that_its_request_does_not_have() -> None:
    optional = {
        "user",
        "prompt_cache_retention",
        "prompt_cache_options",
        "background_options",
    }

    assert response("responses").keys() & optional == set()
    assert response("responses")["text"] == {"format": {"type": "text"}}
