"""Which input steers, and how other input is refused."""

import json

import pytest

from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message
from turnstream.ws_server.frames import (
    Steer,
    read_frame,
)


def test_a_steer_is_read_with_its_input_as_it_was_sent() -> None:
    said = [{"role": "user", "content": [{"type": "input_text", "text": "Shorter!"}]}]
    frame = {"type": "response.steer", "previous_response_id": "r", "input": said}

    steer = Steer("r", said, (Message("user", "Shorter!"),))
    assert read_frame(json.dumps(frame)).request == steer


@pytest.mark.parametrize(
    ("said", "param"),
    [
        (None, "input"),
        (1, "input"),
        ([], "input"),
        (" ", "input[0].content"),
        ([1], "input[0]"),
        ([{"role": "assistant", "content": "No."}], "input[0]"),
        ([{"role": "user", "content": "Yes."}, {"role": "system", "content": "No."}], "input[1]"),
        ([{"type": "function_call_output", "call_id": "c", "output": "1"}], "input[0]"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}],
            "input[0].content[0].type",
        ),
    ],
)
def test_only_messages_of_the_user_steer(said: object, param: str) -> None:
    frame = {"type": "response.steer", "previous_response_id": "r", "input": said}

    steer = read_frame(json.dumps(frame)).request

    assert isinstance(steer, Steer)
    assert steer.input == said
    assert isinstance(steer.items, BadRequest)
    assert steer.items.param == param
