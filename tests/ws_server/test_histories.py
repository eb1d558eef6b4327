"""How histories from elsewhere are read: strict on the last user message, lenient before it."""

import json
from typing import Any

import pytest

from tests.ws_server.history_readers import ASKED, HI, READERS, chat, responses
from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Message
from turnstream.ws_server.batches.request import CHAT, RESPONSES, read_request
from turnstream.ws_server.create import read_create


@READERS
@pytest.mark.parametrize(
    "reply",
    [
        {"content": None},
        {"content": ""},
        {"content": []},
        {},
        {"content": None, "refusal": None, "tool_calls": None, "annotations": [], "audio": None},
    ],
)
def test_an_answer_without_content_is_taken_and_says_nothing(read: Any, reply: Any) -> None:
    said = [m.text for m in read(HI, {"role": "assistant"} | reply, HI)]

    assert [text for text in said if text] == ["Hi", "Hi"]


@READERS
def test_roles_and_names_and_unknown_fields_are_taken(read: Any) -> None:
    messages = read(
        {"role": "system", "content": "Be kind.", "name": "boss"},
        {"role": "developer", "content": "Be brief.", "x": 1},
        {"role": "assistant", "content": "Welcome.", "name": "bot", "status": "completed"},
        {"role": "user", "content": "Hi", "name": "ann"},
    )

    assert messages == (
        Message("system", "Be kind."),
        Message("system", "Be brief."),
        Message("assistant", "Welcome."),
        ASKED,
    )


def test_a_refusal_is_what_the_assistant_said() -> None:
    refused = Message("assistant", "I can't.")
    part = {"type": "refusal", "refusal": "I can't."}

    assert chat(HI, {"role": "assistant", "content": None, "refusal": "I can't."}, HI)[1] == refused
    assert chat(HI, {"role": "assistant", "content": [part]}, HI)[1] == refused
    assert responses(HI, {"role": "assistant", "content": [part]}, HI)[1] == refused


def test_calls_and_outputs_in_chat_messages_become_items() -> None:
    function = {"name": "weather", "arguments": '{"city":"Paris"}'}
    parts = [{"type": "text", "text": "dry"}, {"type": "text", "text": "cold"}]
    messages = chat(
        HI,
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                {"id": "c3", "function": {"name": "now", "arguments": {"tz": "é"}}},
                {"id": "c4", "type": "dance"},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": parts},
        {"role": "tool", "content": None},
        {"role": "assistant", "content": None, "function_call": {"name": "now"}},
        {"role": "function", "name": "now", "content": "12:00"},
    )

    assert messages == (
        ASKED,
        Message("assistant", "Let me see."),
        FunctionCall(call_id="c1", name="weather", arguments='{"city":"Paris"}'),
        FunctionCall(call_id="c2", name="sh", arguments="ls"),
        FunctionCall(call_id="c3", name="now", arguments='{"tz": "é"}'),
        FunctionCallOutput(call_id="c1", output="dry\ncold"),
        FunctionCallOutput(call_id="", output=""),
        FunctionCall(call_id="now", name="now", arguments="{}"),
        FunctionCallOutput(call_id="now", output="12:00"),
    )


def test_calls_and_outputs_in_the_input_are_kept_as_items() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1"}
    parts = [{"type": "input_text", "text": "dry"}, {"type": "input_image", "image_url": "x"}]
    messages = responses(
        HI,
        call | {"id": "fc_1", "status": "incomplete", "namespace": "x"},
        output | {"output": parts},
        call | {"status": None},
        output | {"output": "cold", "id": "fco_1", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": "ls", "id": "ctc_1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "a.txt"},
    )

    assert messages == (
        ASKED,
        FunctionCall(call_id="c1", name="weather", arguments="{}", id="fc_1", status="incomplete"),
        FunctionCallOutput(call_id="c1", output="dry\n[image]"),
        FunctionCall(call_id="c1", name="weather", arguments="{}"),
        FunctionCallOutput(call_id="c1", output="cold", id="fco_1"),
        FunctionCall(call_id="c2", name="sh", arguments="ls", id="ctc_1"),
        FunctionCallOutput(call_id="c2", output="a.txt"),
    )


def test_steps_of_tools_that_ran_elsewhere_are_ignored() -> None:
    searched = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}

    assert responses(HI, thought, searched, {"role": "assistant", "content": "Yes."}, HI) == (
        ASKED,
        Message("assistant", "Yes."),
        ASKED,
    )


def test_a_reference_may_leave_out_its_type_and_may_be_last() -> None:
    create = read_create({"input": [HI, {"id": "msg_" + 32 * "a"}]})

    assert [reference.param for reference in create.references] == ["input[1].id"]


IMAGES = [
    (chat, {"type": "image_url", "image_url": {"url": "data:,"}}, "messages", "[image]"),
    (chat, {"type": "input_audio", "input_audio": {"data": ""}}, "messages", "[audio]"),
    (chat, {"type": "file", "file": {"file_id": "f"}}, "messages", "[file]"),
    (chat, {"type": "video_url", "video_url": {"url": "data:,"}}, "messages", "[video]"),
    (responses, {"type": "input_image", "image_url": "data:,"}, "input", "[image]"),
    (responses, {"type": "input_file", "file_id": "f"}, "input", "[file]"),
]


@pytest.mark.parametrize(("read", "part", "field", "note"), IMAGES)
def test_what_is_no_text_is_a_note_in_the_past_and_refused_in_the_last_user_message(
    read: Any, part: dict[str, Any], field: str, note: str
) -> None:
    kind = "text" if read is chat else "input_text"
    shown = {"role": "user", "content": [{"type": kind, "text": "See: "}, part]}

    assert read(shown, HI) == (Message("user", f"See: {note}"), ASKED)
    for last in ((HI, shown), (shown, {"role": "assistant", "content": "A cat"})):
        with pytest.raises(BadRequest) as refused:
            read(*last)
        at = last.index(shown)
        assert refused.value.code == "unsupported_value"
        assert refused.value.param == f"{field}[{at}].content[1].type"
        assert part["type"] in refused.value.message


@READERS
@pytest.mark.parametrize("content", [None, "", " \n", []])
def test_the_last_user_message_may_not_be_empty(read: Any, content: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        read(HI, {"role": "user", "content": content})

    assert (refused.value.param or "").endswith("[1].content")


@READERS
def test_an_empty_message_of_a_user_is_taken_before_the_last(read: Any) -> None:
    assert read({"role": "user", "content": ""}, {"role": "assistant", "content": "Hello"}, HI)


def test_instructions_alone_can_be_answered() -> None:
    assert responses(instructions="Greet.") == ()
    with pytest.raises(BadRequest):
        responses(instructions=" ")


@pytest.mark.parametrize(
    "call",
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "function": {"name": "f"}}],
        },
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_a_call_at_the_end_is_refused_because_it_has_no_output(call: Any) -> None:
    with pytest.raises(BadRequest, match="output of the call") as refused:
        chat(HI, call)

    assert refused.value.param == "messages"


@pytest.mark.parametrize("mark", ["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"])
@READERS
def test_marks_stay_as_they_were_typed(read: Any, mark: str) -> None:
    text = f"What is {mark}?"
    messages = [{"role": role, "content": text} for role in ("system", "assistant", "user")]

    assert [message.text for message in read(*messages)] == [text] * 3


@pytest.mark.parametrize(("endpoint", "field"), [(CHAT, "messages"), (RESPONSES, "input")])
def test_a_batch_line_may_have_such_a_history(endpoint: str, field: str) -> None:
    reply = {"role": "assistant", "content": "I am"}
    history = [{"role": "assistant", "content": "[INST]"}, HI, reply]
    line = {"custom_id": "1", "method": "POST", "url": endpoint, "body": {field: history}}

    _, create = read_request(json.dumps(line).encode(), endpoint)

    assert create.messages == (
        Message("assistant", "[INST]"),
        ASKED,
        Message("assistant", "I am"),
    )


def test_an_output_to_answer_needs_its_call_but_one_in_the_past_does_not() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "dry"}
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}

    assert responses(output, HI)
    assert responses(HI, call, output)
    assert responses(output, previous_response_id="resp_" + 32 * "a")
    for asked in ((output,), (HI, call, output, output | {"call_id": "c2"})):
        with pytest.raises(BadRequest, match=asked[-1]["call_id"]):
            responses(*asked)
    # Chat clients leave out ids and cut off the start of a conversation.
    assert chat({"role": "tool", "content": "dry"})
