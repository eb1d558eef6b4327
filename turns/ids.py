"""Names of turns: unguessable, and the name of an answer follows from its turn's."""

import re
import secrets

_RESPONSE = re.compile(r"resp_[0-9a-f]{32}")


def new_response_id() -> str:
    """Make a turn's id, which is its response's id."""
    return f"resp_{secrets.token_hex(16)}"


def is_response_id(id: str) -> bool:
    """Tell whether a text can be the id of a turn at all."""
    return _RESPONSE.fullmatch(id) is not None


def response_of_message(id: str) -> str | None:
    """Give the id of the turn whose answer has this name; None: no answer has."""
    response_id = "resp_" + id.removeprefix("msg_")
    return response_id if id.startswith("msg_") and is_response_id(response_id) else None


def message_id(response_id: str) -> str:
    """Give the id of a turn's answer; the same for every attempt."""
    return "msg_" + response_id.removeprefix("resp_")
