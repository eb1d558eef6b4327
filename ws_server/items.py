"""Turn the `input` of a request into messages.

Clients send back items that they received, so an answer may be a reference to a stored one, and a
compacted conversation one opaque item.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnstream.prompts import ControlStringError, check_text
from turnstream.turns.errors import BadRequest, UnsafePrompt
from turnstream.turns.ids import response_of_message
from turnstream.turns.turn import Message, Role
from turnstream.ws_server import compaction, requests
from turnstream.ws_server.field import wrong

Item = requests.Message | requests.ItemReference | requests.CompactionInput | requests.Reasoning
Part = requests.InputTextPart | requests.OutputTextPart | requests.TextPart | requests.RefusalPart


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored answer that a client names by id."""

    #: Index of the message in the request.
    at: int
    response_id: str
    #: The field that names it.
    param: str


@dataclass(frozen=True, slots=True)
class Input:
    """The messages of a request."""

    #: The text of a referenced answer is empty until it is looked up.
    messages: tuple[Message, ...]
    references: tuple[Reference, ...] = ()


def read_input(value: str | Sequence[Item], param: str = "input") -> Input:
    """Read the messages of the field called `param`.

    Raises:
        BadRequest: a reference or a compacted conversation is not one of ours.
        UnsafePrompt: a text would forge a part of the prompt.
    """
    read = Input((Message("user", value),)) if isinstance(value, str) else _items(value, param)
    for message in read.messages:
        _check(message.text, param)
    return read


def check_question(messages: Sequence[Message], param: str = "input", *, goes_on: bool) -> None:
    """Check that the messages ask a question.

    Args:
        goes_on: there is a conversation before these messages. Then they may be none at all, which
            only Redis can judge: its last turn may be a warm-up that ends in a question.

    Raises:
        BadRequest: the last message is not a user's, or the first one is an assistant's.
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


def _items(items: Sequence[Item], param: str) -> Input:
    messages: list[Message] = []
    references: list[Reference] = []
    for number, item in enumerate(items):
        match item:
            case requests.Message():
                messages.append(Message(_role(item.role), _text(item.content)))
            case requests.ItemReference():
                references.append(_reference(item.id, len(messages), f"{param}[{number}].id"))
                messages.append(Message("assistant", ""))
            case requests.CompactionInput():
                name = f"{param}[{number}].encrypted_content"
                messages += compaction.read(item.encrypted_content, name)
            case requests.Reasoning():
                # SDKs send another model's reasoning back: this model has no use for it.
                pass
    return Input(tuple(messages), tuple(references))


def _reference(item_id: str, at: int, param: str) -> Reference:
    response_id = response_of_message(item_id)
    if response_id is None:
        raise item_not_found(item_id, param)
    return Reference(at, response_id, param)


def item_not_found(item_id: str, param: str) -> BadRequest:
    """Make the error of a reference to an item that is missing, not stored, or not an answer."""
    return BadRequest(
        f"Item with id '{item_id[:80]}' not found.", code="item_not_found", param=param
    )


def _role(role: requests.Role) -> Role:
    return "system" if role == "developer" else role


def _text(content: str | list[Part]) -> str:
    if isinstance(content, str):
        return content
    return "".join(
        part.refusal if isinstance(part, requests.RefusalPart) else part.text for part in content
    )
