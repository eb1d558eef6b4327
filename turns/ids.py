"""Ids of turns, unguessable, and the ids of items and chat completions that follow from them."""

import re
import secrets

_RESPONSE_PREFIX, _COMPLETION = "resp_", "chatcmpl-"
_RESPONSE = re.compile(r"resp_[0-9a-f]{32}")


def new_response_id() -> str:
    """Return a new turn id, which is its response's id."""
    return f"resp_{secrets.token_hex(16)}"


def is_response_id(id: str) -> bool:
    """Tell whether a text can be the id of a turn at all."""
    return _RESPONSE.fullmatch(id) is not None


def response_of_message(id: str) -> str | None:
    """Return the id of the turn that a message id belongs to; None: it is no message id."""
    response_id = "resp_" + id.removeprefix("msg_")
    return response_id if id.startswith("msg_") and is_response_id(response_id) else None


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


def response_of(id: str) -> str:
    """Return the id of the response that a response's or a completion's id names."""
    if id.startswith(_COMPLETION):
        return _RESPONSE_PREFIX + id.removeprefix(_COMPLETION)
    return id
