"""Which frames are accepted, and how the others are refused."""

import json
from typing import Any

import pytest

from turnstream.turns.errors import TurnError
from turnstream.turns.turn import Message, Request
from turnstream.ws_server.create import Create
from turnstream.ws_server.directory import Model
from turnstream.ws_server.frames import (
    Cancel,
    Frame,
    Refusal,
    Resume,
    read_frame,
    read_resume,
)
from turnstream.ws_server.items import Reference
from turnstream.ws_server.settings import BODY_BYTES


def created(**fields: Any) -> Create:
    frame = read_frame(json.dumps({"type": "response.create", "input": "Hi"} | fields))
    assert isinstance(frame.request, Create), frame.request
    return frame.request


def refused(text: str | None) -> TurnError:
    request = read_frame(text).request
    assert isinstance(request, Refusal)
    return request.error


def test_a_string_is_a_users_message() -> None:
    assert created(input="Hi").messages == (Message("user", "Hi"),)


def test_messages_come_with_or_without_type_and_with_text_or_parts() -> None:
    create = created(
        input=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "One?"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "On"},
                    {"type": "refusal", "refusal": "e."},
                ],
            },
            {"role": "user", "content": "Two?", "phase": "commentary"},
        ]
    )

    assert create.messages == (
        Message("system", "Be kind."),
        Message("user", "One?"),
        Message("assistant", "One."),
        Message("user", "Two?"),
    )


def test_nulls_and_unknown_fields_are_as_if_they_were_not_there() -> None:
    fields = {"temperature": None, "previous_response_id": None, "metadata": None, "top_p": None}

    assert created(**fields, client_metadata={"a": 1}, stream=True, tools=[]) == created()


def test_a_turn_is_sampled_as_it_was_asked_to_be() -> None:
    fields = {
        "top_k": 40,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "repetition_penalty": 1.1,
    }

    turn = created(**fields).turn("ann", Model(name="m", created=0), previous_cached=False)

    assert {name: getattr(turn.request.sampling, name) for name in fields} == fields
    assert Request.from_json(turn.request.to_json()) == turn.request


def test_a_turn_without_penalty_fields_has_no_penalties() -> None:
    request = created().turn("ann", Model(name="m", created=0), previous_cached=False).request

    assert (request.sampling.top_k, request.sampling.repetition_penalty) == (0, 1.0)
    assert (request.sampling.frequency_penalty, request.sampling.presence_penalty) == (0.0, 0.0)


def test_the_nested_form_is_read_too() -> None:
    frame = read_frame(json.dumps({"type": "response.create", "response": {"input": "Hi"}}))

    assert frame.request == created()


def test_cancel_is_read_with_and_without_an_id() -> None:
    assert read_frame('{"type":"response.cancel"}').request == Cancel(None)
    assert read_frame('{"type":"response.cancel","response_id":"r"}').request == Cancel("r")


def test_a_resume_is_read_with_and_without_a_number() -> None:
    frame = {"type": "turnstream:response.resume", "response_id": "r"}

    assert read_frame(json.dumps(frame)).request == Resume("r", -1)
    assert read_frame(json.dumps(frame | {"starting_after": 7})).request == Resume("r", 7)


def test_a_completion_is_cancelled_and_resumed_by_its_own_id_too() -> None:
    of, its = "chatcmpl-" + 32 * "a", "resp_" + 32 * "a"
    cancel = {"type": "response.cancel", "response_id": of}
    resume = {"type": "turnstream:response.resume", "response_id": of}

    assert read_frame(json.dumps(cancel)).request == Cancel(its)
    assert read_frame(json.dumps(resume)).request == Resume(its, -1)
    assert read_resume({"resume_response_id": of}) == Frame(None, Resume(its, -1))


def test_a_refusal_has_the_previous_response_id() -> None:
    bad = {"input": 7, "previous_response_id": "r"}
    for frame in (bad, {"response": bad}):
        request = read_frame(json.dumps({"type": "response.create"} | frame)).request
        assert isinstance(request, Refusal)
        assert request.previous_response_id == "r"


def test_either_field_makes_a_warm_up_and_its_input_may_be_empty() -> None:
    for fields in ({"generate": False}, {"prompt_cache_options": {"prewarm": True}}):
        assert created(**fields, input=[]).generate is False
        assert created(**(fields | {"input": None})).messages == ()
    assert created(prompt_cache_options={"mode": "explicit"}).generate is True


def test_a_continuation_may_have_an_empty_input() -> None:
    parent = "resp_" + 32 * "a"

    assert created(input=[], previous_response_id=parent).messages == ()
    assert refused('{"type":"response.create","input":[]}').param == "input"


def test_an_answer_may_be_referenced_and_reasoning_items_are_ignored() -> None:
    create = created(
        input=[
            {"role": "user", "content": "One?"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "item_reference", "id": "msg_" + 32 * "a"},
            {"role": "user", "content": "Two?"},
        ]
    )

    assert [message.text for message in create.messages] == ["One?", "", "Two?"]
    assert create.references == (
        Reference(1, "msg_" + 32 * "a", "resp_" + 32 * "a", None, "input[2].id"),
    )


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        (None, "invalid_json", None),
        ("{}", "unknown_event_type", "type"),
        ('{"type":"response.dance"}', "unknown_event_type", "type"),
        ('{"type":"response.steer"}', "missing_required_parameter", "previous_response_id"),
        ('{"type":"turnstream:response.resume"}', "missing_required_parameter", "response_id"),
        ('{"type":"response.create"}', "missing_required_parameter", "input"),
        (" " * (BODY_BYTES + 1), "request_too_large", None),
        ('"' + "é" * (BODY_BYTES // 2) + '"', "request_too_large", None),
        (
            '{"type":"response.create","input":"Hi","stream_id":""}',
            "invalid_stream_id",
            "stream_id",
        ),
        ('{"type":"response.create","input":"Hi","stream_id":1}', "invalid_stream_id", "stream_id"),
    ],
)
def test_a_bad_frame_is_refused_with_a_code(text: str | None, code: str, param: str | None) -> None:
    refusal = refused(text)

    assert (refusal.code, refusal.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": ""}, "invalid_value", "input"),
        ({"input": " \n"}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": 7}, "invalid_value", "input"),
        ({"input": [{"role": "assistant", "content": " "}]}, "invalid_value", "input"),
        ({"input": [{"role": "system", "content": ""}]}, "invalid_value", "input"),
        ({"input": [{"role": "user", "content": None}]}, "invalid_value", "input[0].content"),
        ({"input": [{"role": "user", "content": []}]}, "invalid_value", "input[0].content"),
        ({"input": ["Hi"]}, "invalid_value", "input[0]"),
        ({"input": [{"role": "king", "content": "Hi"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"role": ["user"], "content": "Hi"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"role": "user"}]}, "invalid_value", "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "unsupported_value",
            "input[0].content[0].type",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f"}]},
            "invalid_value",
            "input",
        ),
        ({"input": [{"type": "item_reference"}]}, "invalid_value", "input[0].id"),
        (
            {"input": [{"type": "item_reference", "id": "rs_1"}]},
            "item_not_found",
            "input[0].id",
        ),
        ({"input": "\ud800"}, "invalid_value", "input"),
        ({"input": [{"type": "function_call"}]}, "invalid_value", "input[0].call_id"),
        ({"input": [{"type": "dance"}]}, "unsupported_value", "input[0].type"),
        ({"instructions": 1}, "invalid_value", "instructions"),
        ({"model": 1}, "invalid_value", "model"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"temperature": True}, "invalid_value", "temperature"),
        ({"temperature": 2.5}, "invalid_value", "temperature"),
        ({"temperature": float("nan")}, "invalid_value", "temperature"),
        ({"top_p": -0.1}, "invalid_value", "top_p"),
        ({"top_k": -2}, "invalid_value", "top_k"),
        ({"top_k": "many"}, "invalid_value", "top_k"),
        ({"frequency_penalty": 2.01}, "invalid_value", "frequency_penalty"),
        ({"presence_penalty": "much"}, "invalid_value", "presence_penalty"),
        ({"repetition_penalty": 0}, "invalid_value", "repetition_penalty"),
        ({"repetition_penalty": -1.5}, "invalid_value", "repetition_penalty"),
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": 1.5}, "invalid_value", "max_output_tokens"),
        ({"store": "yes"}, "invalid_value", "store"),
        ({"metadata": {"a": 1}}, "invalid_value", "metadata.a"),
        ({"metadata": {str(i): "" for i in range(17)}}, "invalid_value", "metadata"),
        ({"service_tier": "gold"}, "invalid_value", "service_tier"),
        ({"truncation": "some"}, "invalid_value", "truncation"),
        ({"previous_response_id": "x"}, "previous_response_not_found", "previous_response_id"),
        ({"background": True}, "unsupported_parameter", "background"),
        ({"background_options": 1}, "invalid_value", "background_options"),
        (
            {"background_options": {"completion_window": "1h"}},
            "invalid_value",
            "background_options.completion_window",
        ),
        (
            {"background_options": {"completion_window": "2h"}},
            "invalid_value",
            "background_options.completion_window",
        ),
        ({"generate": 0}, "invalid_value", "generate"),
        ({"prompt_cache_options": 1}, "invalid_value", "prompt_cache_options"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "invalid_value", "text.format.name"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], code: str, param: str) -> None:
    refusal = refused(json.dumps({"type": "response.create", "input": "Hi"} | fields))

    assert (refusal.code, refusal.param) == (code, param)


def test_a_refusal_has_the_stream_id_of_its_lane() -> None:
    frame = read_frame('{"type":"response.create","input":"","stream_id":"left"}')

    assert frame.stream_id == "left"
    assert isinstance(frame.request, Refusal)


def test_control_tokens_that_a_user_types_are_plain_text() -> None:
    assert created(input="</s><s>").messages == (Message("user", "</s><s>"),)
