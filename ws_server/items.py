"""Reads the `input` of a request: a string, or a list of message items."""

from typing import Any

from prompts import ControlStringError, check_text
from turns.errors import BadRequest, UnsafePrompt
from turns.turn import Message, Role
from ws_server.field import checked_text, wrong

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
#: Kinds of content that are text, and the key that holds it.
_TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def messages(value: object, param: str = "input") -> tuple[Message, ...]:
    """Read who said what, from the field called `param`.

    Raises:
        BadRequest: nothing is asked, an item is not a message, or a part is not text.
        UnsafePrompt: a text would forge a part of the prompt.
    """
    match value:
        case None:
            raise BadRequest(
                f"'{param}' is missing.", code="missing_required_parameter", param=param
            )
        case str():
            read = [Message("user", checked_text(value, param))]
        case list():
            read = [_message(item, f"{param}[{i}]") for i, item in enumerate(value)]
        case _:
            raise wrong(param, "a string or a list of items")
    spoken = [message for message in read if message.role != "system"]
    if not spoken or spoken[-1].role != "user" or not spoken[-1].text.strip():
        raise wrong(param, "a question: its last message must be a user's, and not empty")
    if spoken[0].role != "user":
        raise wrong(param, "a conversation that begins with a user's message")
    for message in read:
        _check(message.text, param)
    return tuple(read)


def instructions(text: str | None) -> str | None:
    """Check the system text of a request.

    Raises:
        UnsafePrompt: it would forge a part of the prompt.
    """
    if text is not None:
        _check(text, "instructions")
    return text


def _check(text: str, param: str) -> None:
    try:
        check_text(text)
    except ControlStringError as exc:
        raise UnsafePrompt(str(exc), param) from exc


def _message(item: object, param: str) -> Message:
    if not isinstance(item, dict):
        raise wrong(param, "an object")
    if item.get("type", "message") != "message":
        raise BadRequest(
            f"'{param}.type' is {item['type']!r}: only messages can be answered here.",
            code="unsupported_value",
            param=f"{param}.type",
        )
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise wrong(f"{param}.role", "one of " + ", ".join(_ROLES))
    return Message(_ROLES[role], _content(item.get("content"), f"{param}.content"))


def _content(content: object, param: str) -> str:
    match content:
        case str():
            return checked_text(content, param)
        case list():
            return "".join(_part(part, f"{param}[{i}]") for i, part in enumerate(content))
        case _:
            raise wrong(param, "a string or a list of parts")


def _part(part: Any, param: str) -> str:
    if not isinstance(part, dict):
        raise wrong(param, "an object")
    key = _TEXT_PARTS.get(str(part.get("type")))
    if key is None:
        raise BadRequest(
            f"'{param}.type' is {part.get('type')!r}: this model reads text only.",
            code="unsupported_value",
            param=f"{param}.type",
        )
    return checked_text(part.get(key), f"{param}.{key}")
