"""An error names the field and says in one line what it must be."""

import json
from typing import Any

import pytest

from turnstream.turns.errors import BadRequest
from turnstream.ws_server.create import read_create
from turnstream.ws_server.decode import read_json


def refused(text: str) -> BadRequest:
    with pytest.raises(BadRequest) as error:
        read_create(read_json(text))
    return error.value


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 2.5}, "'temperature' must be at most 2."),
        ({"temperature": "hot"}, "'temperature' must be a number."),
        ({"top_k": -2}, "'top_k' must be at least -1."),
        ({"top_k": 2_000_000}, "'top_k' must be at most 1000000."),
        ({"top_k": 10**30}, "'top_k' must be at most 1000000."),
        ({"store": 1}, "'store' must be true or false."),
        ({"input": 7}, "'input' must be a string or a list."),
        ({"truncation": "some"}, "'truncation' must be one of auto, disabled."),
        ({"idempotency_key": ""}, "'idempotency_key' must be at least 1 characters long."),
        (
            {"input": [{"role": "king", "content": "Hi"}]},
            "'input[0].role' must be one of assistant, developer, system, user.",
        ),
        ({"input": [{"role": "user", "content": 1}]}, "'input[0].content' must be a string or"),
        ({"input": [{"role": "user"}]}, "'input[0].content' is empty: the last user"),
        (
            {"text": {"format": {"type": "json"}}},
            "'text.format.type' must be text, json_object or json_schema.",
        ),
        ({"input": [{"type": "x"}]}, "'input[0].type' must be a supported type."),
        ({"metadata": {"a": 1}}, "'metadata.a' must be a string."),
    ],
)
def test_a_decode_error_states_what_a_field_must_be(fields: dict[str, Any], message: str) -> None:
    assert refused(json.dumps({"input": "Hi"} | fields)).message.startswith(message)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ('{"input":"Hi","temperature":NaN}', "temperature"),
        ('{"input":"Hi","temperature":1e999}', "temperature"),
        (r'{"input":[{"role":"user","content":"\ud800"}]}', "input[0].content"),
        (r'{"input":"Hi","metadata":{"\ud800":"x"}}', "metadata"),
        ('{"input":"Hi","top_k":' + "9" * 40 + "}", "top_k"),
        ('{"input":"Hi","top_k":true}', "top_k"),
    ],
)
def test_what_json_cannot_carry_is_refused_with_its_field(text: str, param: str) -> None:
    error = refused(text)

    assert (error.code, error.param) == ("invalid_value", param)


def test_a_fields_null_is_absence_and_an_unknown_field_is_ignored() -> None:
    asked = {"input": [{"type": None, "role": "user", "content": "Hi"}], "store": None, "x": 1}

    assert read_create(read_json(json.dumps(asked))) == read_create(
        {"input": [{"role": "user", "content": "Hi"}]}
    )
