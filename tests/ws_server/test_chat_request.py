"""Which chat completion requests are accepted, and how the others are refused."""

import json
from typing import Any

import pytest

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message
from turnstream.ws_server.batches.request import CHAT, read_request
from turnstream.ws_server.chat_request import ChatRequest, read_chat


def read(**fields: Any) -> ChatRequest:
    return read_chat({"messages": [{"role": "user", "content": "Hi"}]} | fields)


def test_messages_are_read_with_their_roles_and_parts() -> None:
    chat = read(
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ]
    )

    assert chat.create.messages == (Message("system", "Be kind."), Message("user", "Hi"))


def test_a_completion_is_not_stored_unless_asked_for() -> None:
    assert read().create.store is False
    assert read(store=True).create.store is True


def test_either_name_limits_the_answer_and_the_newer_one_decides() -> None:
    assert read(max_tokens=3).create.max_output_tokens == 3
    assert read(max_tokens=3, max_completion_tokens=4).create.max_output_tokens == 4


def test_one_stop_string_or_several_are_taken() -> None:
    assert read(stop="a").create.stop == ("a",)
    assert read(stop=["a", "b"]).create.stop == ("a", "b")


def test_penalties_and_top_k_are_taken() -> None:
    create = read(
        frequency_penalty=-2, presence_penalty=1.5, repetition_penalty=1.2, top_k=40
    ).create

    assert create.sampling == {
        "frequency_penalty": -2,
        "presence_penalty": 1.5,
        "repetition_penalty": 1.2,
        "top_k": 40,
    }


def test_logprobs_are_reported_with_as_many_likeliest_tokens_as_were_asked_for() -> None:
    assert read(logprobs=True).create.sampling == {"top_logprobs": 0}
    assert read(logprobs=True, top_logprobs=4).create.sampling == {"top_logprobs": 4}
    assert read(logprobs=False, top_logprobs=0).create.sampling == {}


def test_extras_of_load_generators_are_taken() -> None:
    create = read(min_tokens=4, ignore_eos=True, max_tokens=4).create
    assert create.sampling == {"min_tokens": 4, "ignore_eos": True}


def test_a_field_with_its_default_value_is_accepted() -> None:
    fields = {
        "n": 1,
        "frequency_penalty": 0,
        "top_k": -1,
        "logprobs": False,
        "logit_bias": {},
        "min_tokens": 0,
        "ignore_eos": False,
        "tools": [],
        "max_tokens": -1,
        "modalities": ["text"],
        "tool_choice": "auto",
    }

    assert read(**fields, response_format={"type": "text"}) == read()


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": "Hi"}, "invalid_value", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        (
            {"messages": [{"role": "king", "content": "x"}]},
            "invalid_value",
            "messages[0].role",
        ),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 9}, "invalid_value", "n"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_completion_tokens": -2}, "invalid_value", "max_completion_tokens"),
        ({"frequency_penalty": -2.1}, "invalid_value", "frequency_penalty"),
        ({"repetition_penalty": 0}, "invalid_value", "repetition_penalty"),
        ({"top_k": 0.5}, "invalid_value", "top_k"),
        ({"presence_penalty": 3}, "invalid_value", "presence_penalty"),
        ({"logprobs": 1}, "invalid_value", "logprobs"),
        ({"top_logprobs": 3}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": 3, "logprobs": False}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "invalid_value", "top_logprobs"),
        ({"min_tokens": 5, "max_tokens": 4}, "invalid_value", "min_tokens"),
        ({"ignore_eos": "yes"}, "invalid_value", "ignore_eos"),
        ({"stop": ["a", ""]}, "invalid_value", "stop"),
        ({"stop": list("abcde")}, "invalid_value", "stop"),
        ({"stop": 1}, "invalid_value", "stop"),
        ({"stream_options": "x"}, "invalid_value", "stream_options"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"response_format": {"type": "xml"}}, "unsupported_value", "response_format.type"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**fields)

    assert (refused.value.code, refused.value.param) == (code, param)


def test_functions_of_before_tools_are_refused_in_a_batch_whose_answers_have_one_form() -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "functions": [{"name": "f"}]}
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": body}

    assert read_chat(body).functions
    assert not read_chat(body).create.hints.parallel_tool_calls
    with pytest.raises(BadRequest, match="tools") as refused:
        read_request(json.dumps(line), CHAT)

    assert refused.value.param == "body.functions"
