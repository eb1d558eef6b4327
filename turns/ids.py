"""Ids of turns, unguessable, and the ids of items and chat completions that follow from them."""

import re
import secrets

#: What a turn's record calls the text of its answer.
ANSWER = "answer"
_RESPONSE_PREFIX, _COMPLETION, _TEXT_COMPLETION = "resp_", "chatcmpl-", "cmpl-"
_CONVERSATION = re.compile(r"conv_[0-9a-f]{32}")
_CALL = re.compile(r"fc_([0-9a-f]{32})([0-9a-f]{2})")
_ITEM = re.compile(r"(?:msg|fc)_([0-9a-f]{32})(?:_([0-9]{1,6}))?")
_RESPONSE = re.compile(r"resp_[0-9a-f]{32}")


def new_conversation_id() -> str:
    """Return a new id of a conversation."""
    return f"conv_{secrets.token_hex(16)}"


def is_conversation_id(id: str) -> bool:
    """Tell whether a text can be the id of a conversation at all."""
    return _CONVERSATION.fullmatch(id) is not None


def turn_of_item(id: str) -> tuple[str, str] | None:
    """Return the turn that an item's id names, and what the turn's record calls the item.

    That is the number of an input item, `ANSWER`, or `call_name` of a call of a tool. None: it is
    no item's id.
    """
    if call := _CALL.fullmatch(id):
        return _RESPONSE_PREFIX + call[1], call_name(int(call[2], 16))
    found = _ITEM.fullmatch(id)
    if found is None:
        return None
    return _RESPONSE_PREFIX + found[1], ANSWER if found[2] is None else found[2]


def call_name(number: int) -> str:
    """Return what a turn's record calls one of the answer's calls of tools."""
    return f"call{number}"


def new_response_id() -> str:
    """Return a new turn id, which is its response's id."""
    return f"resp_{secrets.token_hex(16)}"


def new_steer_id() -> str:
    """Return a new id of input that steers a turn."""
    return f"steer_{secrets.token_hex(16)}"


def is_response_id(id: str) -> bool:
    """Tell whether a text can be the id of a turn at all."""
    return _RESPONSE.fullmatch(id) is not None


def response_of_output(id: str) -> tuple[str, int | None] | None:
    """Return the turn whose answer has an item, and the number of a call; None: it is no such id.

    The answer's message has no number.
    """
    if call := _CALL.fullmatch(id):
        return _RESPONSE_PREFIX + call[1], int(call[2], 16)
    response_id = _RESPONSE_PREFIX + id.removeprefix("msg_")
    return (response_id, None) if id.startswith("msg_") and is_response_id(response_id) else None


def message_id(response_id: str) -> str:
    """Return the id of a turn's output message; the same for every attempt."""
    return "msg_" + response_id.removeprefix("resp_")


def function_call_id(response_id: str, number: int) -> str:
    """Return the item id of a turn's call of a tool, by its number from 0; of every attempt."""
    return f"fc_{response_id.removeprefix(_RESPONSE_PREFIX)}{number:02x}"


def call_id(response_id: str, number: int) -> str:
    """Return what joins a turn's call of a tool to its output; the same for every attempt."""
    return f"call_{response_id.removeprefix(_RESPONSE_PREFIX)}{number:02x}"


def completion_of(response_id: str) -> str:
    """Return the id of a response as a chat completion."""
    return _COMPLETION + response_id.removeprefix(_RESPONSE_PREFIX)


def text_completion_of(response_id: str) -> str:
    """Return the id of a response as a text completion."""
    return _TEXT_COMPLETION + response_id.removeprefix(_RESPONSE_PREFIX)


def response_of(id: str) -> str:
    """Return the id of the response that a response's or a completion's id names."""
    for prefix in (_COMPLETION, _TEXT_COMPLETION):
        if id.startswith(prefix):
            return _RESPONSE_PREFIX + id.removeprefix(prefix)
    return id
