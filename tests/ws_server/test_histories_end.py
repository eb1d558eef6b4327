"""What a history may end in, and when a reply at its end is continued."""

from typing import Any

import pytest

from tests.ws_server.history_readers import ASKED, HI, READERS, chat
from turnstream.turns.errors import BadRequest
from turnstream.turns.turn import Message

REPLY = {"role": "assistant", "content": "I am"}


@READERS
@pytest.mark.parametrize(
    "messages",
    [
        [HI, {"role": "assistant", "content": "I am"}],
        [{"role": "assistant", "content": "I am"}],
        [{"role": "system", "content": "Greet."}],
        [HI, {"role": "system", "content": "Greet."}],
    ],
)
def test_what_ends_in_a_reply_or_is_the_systems_alone_is_taken(read: Any, messages: Any) -> None:
    assert read(*messages)


@pytest.mark.parametrize(
    ("fields", "asks"),
    [
        ({}, False),
        ({"continue_final_message": True}, False),
        ({"continue_final_message": True, "add_generation_prompt": False}, False),
        ({"add_generation_prompt": False}, False),
        ({"continue_final_message": False}, True),
        ({"add_generation_prompt": True}, True),
        ({"continue_final_message": False, "add_generation_prompt": True}, True),
    ],
)
def test_a_reply_at_the_end_is_continued_unless_a_new_one_is_wanted(
    fields: dict[str, Any], asks: bool
) -> None:
    said = chat(HI, REPLY, **fields)

    assert said == (ASKED, Message("assistant", "I am"), *([Message("user", "")] if asks else []))


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        (
            [HI, REPLY],
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
        ([HI], {"continue_final_message": True}, "continue_final_message"),
        ([HI], {"add_generation_prompt": False}, "add_generation_prompt"),
        ([HI], {"continue_final_message": "yes"}, "continue_final_message"),
    ],
)
def test_a_wish_to_continue_that_makes_no_sense_is_refused(
    messages: list[Any], fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        chat(*messages, **fields)

    assert refused.value.param == param


def test_a_user_message_may_say_both_fields_defaults() -> None:
    assert chat(HI, continue_final_message=False, add_generation_prompt=True) == (ASKED,)
