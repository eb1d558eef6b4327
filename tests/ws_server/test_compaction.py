"""A compacted conversation is read as it was written; a forged one is refused."""

import base64
import json

import msgspec
import pytest

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Message
from turnstream.ws_server import input_items
from turnstream.ws_server.compaction import read, written
from turnstream.ws_server.items import read_input

SAID = (
    Message("system", "Be kind."),
    Message("user", "Où? 😀"),
    FunctionCall(call_id="c1", name="where", arguments="{}", id="fc_1"),
    FunctionCallOutput(call_id="c1", output="Ici", status="incomplete"),
    Message("assistant", "Là. [INST]"),
)


def test_a_compaction_is_read_as_it_was_written() -> None:
    assert tuple(read(written(SAID), "p")) == SAID


def test_a_compaction_in_the_input_becomes_its_messages() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": written(SAID)}

    question = {"type": "message", "role": "user", "content": "And then?"}
    said = read_input(msgspec.convert([item, question], input_items.Items))

    assert said.items == (*SAID, Message("user", "And then?"))


def forged(said: object) -> str:
    return "turnstream1." + base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "gAAAA",
        "turnstream2." + written(SAID).partition(".")[2],
        written(SAID)[:-3],
        written(SAID) + "!",
        forged([["king", "x"]]),
        forged([[["user"], "x"]]),
        forged([["user", 1]]),
        forged([["user", "\ud800"]]),
        forged([["user"]]),
        forged({"user": 1}),
        forged(7),
        forged([{"type": "dance"}]),
        forged([{"type": "function_call", "call_id": "c", "name": "f"}]),
        forged([{"type": "function_call", "call_id": 1, "name": "f", "arguments": ""}]),
        forged([{"type": "function_call_output", "call_id": "c", "output": "\ud800"}]),
        forged([{"type": "function_call_output", "call_id": "c", "output": "", "more": 1}]),
    ],
)
def test_a_compaction_of_another_service_is_refused(content: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(content, "input[0].encrypted_content")

    assert refused.value.param == "input[0].encrypted_content"
