"""Reads the `input` of a request: a string, or a list of message items.

Clients hand back whatever they were once given, so an answer may come as a mere reference to it,
and a conversation that was compacted as one opaque item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnstream.prompts import ControlStringError, check_text
from turnstream.turns.errors import BadRequest, UnsafePrompt
from turnstream.turns.ids import response_of_message
from turnstream.turns.turn import Message, Role
from turnstream.ws_server import compaction
from turnstream.ws_server.field import checked_text, wrong

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
#: Kinds of content that are text, and the key that holds it.
_TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


@dataclass(frozen=True, slots=True)
class Reference:
    """An answer that a client names instead of repeating it."""

    #: Which message of the request it is.
    at: int
    response_id: str
    #: The field that names it.
    param: str


@dataclass(frozen=True, slots=True)
class Input:
    """What a request says."""

    #: An answer that is only referred to is empty here.
    messages: tuple[Message, ...]
    references: tuple[Reference, ...] = ()


def read_input(value: object, param: str = "input") -> Input:
    """Read who said what, from the field called `param`.

    Raises:
        BadRequest: an item is not a message, or a part is not text.
        UnsafePrompt: a text would forge a part of the prompt.
    """
    match value:
        case str():
            read = Input((Message("user", checked_text(value, param)),))
        case list():
            read = _items(value, param)
        case _:
            raise wrong(param, "a string or a list of items")
    for message in read.messages:
        _check(message.text, param)
    return read


def check_question(messages: Sequence[Message], param: str = "input", *, goes_on: bool) -> None:
    """Check that something is asked.

    Args:
        goes_on: there is a conversation before these messages. Then they may be none at all, which
            only Redis can judge: its last turn may be a warm-up that asks already.

    Raises:
        BadRequest: the last word is not a user's, or the first one is an assistant's.
    """
    spoken = [message for message in messages if message.role != "system"]
    if goes_on and not spoken:
        return
    if not spoken or spoken[-1].role != "user" or not spoken[-1].text.strip():
        raise wrong(param, "a question: its last message must be a user's, and not empty")
    if spoken[0].role != "user" and not goes_on:
        raise wrong(param, "a conversation that begins with a user's message")


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


def _items(items: Sequence[Any], param: str) -> Input:
    messages: list[Message] = []
    references: list[Reference] = []
    for number, item in enumerate(items):
        name = f"{param}[{number}]"
        if not isinstance(item, dict):
            raise wrong(name, "an object")
        match item.get("type", "message"):
            case None | "message":
                messages.append(_message(item, name))
            case "item_reference":
                references.append(_reference(item, len(messages), name))
                messages.append(Message("assistant", ""))
            case "compaction":
                name = f"{name}.encrypted_content"
                content = checked_text(item.get("encrypted_content"), name)
                messages += compaction.read(content, name)
            case "reasoning":
                # Another model's thoughts, handed back by habit: there is nothing to do with them.
                pass
            case other:
                raise BadRequest(
                    f"'{name}.type' is {str(other)[:80]!r}: only messages can be answered here.",
                    code="unsupported_value",
                    param=f"{name}.type",
                )
    return Input(tuple(messages), tuple(references))


def _reference(item: dict[str, Any], at: int, param: str) -> Reference:
    item_id = checked_text(item.get("id"), f"{param}.id")
    response_id = response_of_message(item_id)
    if response_id is None:
        raise item_not_found(item_id, f"{param}.id")
    return Reference(at, response_id, f"{param}.id")


def item_not_found(item_id: str, param: str) -> BadRequest:
    """Make the error of a reference to what is not there, not stored, or not an answer."""
    return BadRequest(
        f"Item with id '{item_id[:80]}' not found.", code="item_not_found", param=param
    )


def _message(item: dict[str, Any], param: str) -> Message:
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
