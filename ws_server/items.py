"""Turn the `input` of a request into the items of a conversation.

Strict on the last user message, lenient on all before it: what was said elsewhere can't be taken
back. Clients also send back items that they received, so an answer may be a reference to a stored
one, and a compacted conversation one opaque item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from turnstream.turns.errors import BadRequest
from turnstream.turns.ids import call_id, response_of_output
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message, spoken_at
from turnstream.ws_server import compaction, content, input_items
from turnstream.ws_server.field import wrong

InputItem = (
    input_items.Message
    | input_items.ItemReference
    | input_items.CompactionInput
    | input_items.Reasoning
    | input_items.FunctionCallInput
    | input_items.FunctionCallOutputInput
    | input_items.CustomCallInput
    | input_items.CustomCallOutputInput
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A message or a call of a stored answer that a client names by id."""

    #: Index of the item in the request.
    at: int
    item_id: str
    response_id: str
    #: The number of a call in the answer; None: it is the answer's message.
    call: int | None
    #: The field that names it.
    param: str


@dataclass(frozen=True, slots=True)
class Input:
    """The items of a request."""

    #: What is referenced is empty until it is looked up.
    items: tuple[Item, ...]
    references: tuple[Reference, ...] = ()
    #: The field of the last user message, and its content as it was sent.
    last_user: tuple[str, input_items.Content] | None = None


def read_input(value: str | Sequence[InputItem], name: str = "input") -> Input:
    """Read the items of the field called `name`.

    Raises:
        BadRequest: a reference or a compacted conversation is not one of ours.
    """
    if isinstance(value, str):
        return Input((Message("user", value),), last_user=(name, value))
    items: list[Item] = []
    references: list[Reference] = []
    last_user: tuple[str, input_items.Content] | None = None
    for number, item in enumerate(value):
        param = f"{name}[{number}]"
        match item:
            case input_items.Message():
                role = "system" if item.role == "developer" else item.role
                if role == "user":
                    last_user = f"{param}.content", item.content
                items.append(Message(role, content.text_of(item.content)))
            case input_items.ItemReference():
                found = _reference(item.id, len(items), f"{param}.id")
                references.append(found)
                items.append(_unread(found))
            case input_items.CompactionInput():
                items += compaction.read(item.encrypted_content, f"{param}.encrypted_content")
            case (
                input_items.FunctionCallInput()
                | input_items.FunctionCallOutputInput()
                | input_items.CustomCallInput()
                | input_items.CustomCallOutputInput()
            ):
                items.append(_tool_item(item))
            case input_items.Reasoning():
                # SDKs send another model's reasoning back: this model has no use for it.
                pass
            case _:
                assert_never(item)
    return Input(tuple(items), tuple(references), last_user)


def read_steer(value: str | Sequence[InputItem] | None) -> tuple[Item, ...]:
    """Read what is said to a running response.

    Raises:
        BadRequest: it is not a text or a list of messages of the user, or one is empty or not text.
    """
    if isinstance(value, str):
        value = [input_items.Message("user", value)]
    if not value:
        raise wrong("input", "a text, or a list of messages")
    for number, item in enumerate(value):
        param = f"input[{number}]"
        if not isinstance(item, input_items.Message) or item.role != "user":
            raise wrong(param, "a message of the user: nothing else steers a response")
        content.check_text_only(f"{param}.content", item.content)
        if not content.text_of(item.content).strip():
            raise wrong(f"{param}.content", "text: it is empty")
    return read_input(value).items


def check_last_user(read: Input) -> None:
    """Check that the last user message is text.

    Raises:
        BadRequest: it has an image or the like; the error says where.
    """
    if read.last_user is not None:
        content.check_text_only(*read.last_user)


def check_answerable(
    read: Input, param: str = "input", *, goes_on: bool, instructions: str | None = None
) -> None:
    """Check that there is something to answer, or a reply to continue.

    Args:
        goes_on: there is a conversation before these items. Then they may be none at all, which
            only Redis can judge: its last turn may be an empty warm-up.

    Raises:
        BadRequest: the last user message is empty or not text, a call has no output, or there is
            nothing at all.
    """
    check_last_user(read)
    items = list(read.items)
    for reference in read.references:
        if reference.call is None:
            items[reference.at] = Message("assistant", "not looked up yet")
    at = spoken_at(items)
    match None if at is None else items[at]:
        case Message("user", text) if not text.strip():
            name = read.last_user[0] if read.last_user else param
            raise BadRequest(f"'{name}' is empty: the last user message must be text.", param=name)
        case FunctionCall() as call:
            raise wrong(param, f"followed by the output of the call '{call.call_id[:80]}'")
        case None if not goes_on:
            system = [item.text for item in items if isinstance(item, Message)]
            if not any(text.strip() for text in (instructions or "", *system)):
                raise wrong(param, "a question: it has no message, or only empty ones")


def _tool_item(
    item: input_items.FunctionCallInput
    | input_items.FunctionCallOutputInput
    | input_items.CustomCallInput
    | input_items.CustomCallOutputInput,
) -> FunctionCall | FunctionCallOutput:
    match item:
        case input_items.FunctionCallInput(call_id, name, arguments, id, status):
            return FunctionCall(
                call_id=call_id,
                name=name,
                arguments=arguments,
                id=id,
                status=status or "completed",
            )
        case input_items.CustomCallInput(call_id, name, given, id):
            return FunctionCall(call_id=call_id, name=name, arguments=given, id=id)
        case input_items.FunctionCallOutputInput(call_id, output, id, status):
            text = content.text_of(output, between="\n")
            return FunctionCallOutput(
                call_id=call_id or "", output=text, id=id, status=status or "completed"
            )
        case input_items.CustomCallOutputInput(call_id, output, id):
            text = content.text_of(output, between="\n")
            return FunctionCallOutput(call_id=call_id or "", output=text, id=id)
        case _:
            assert_never(item)


def _reference(item_id: str, at: int, param: str) -> Reference:
    match response_of_output(item_id):
        case None:
            raise item_not_found(item_id, param)
        case response_id, call:
            return Reference(at, item_id, response_id, call, param)


def _unread(reference: Reference) -> Message | FunctionCall:
    if reference.call is None:
        return Message("assistant", "")
    joined_by = call_id(reference.response_id, reference.call)
    return FunctionCall(call_id=joined_by, name="", arguments="", id=reference.item_id)


def item_not_found(item_id: str, param: str) -> BadRequest:
    """Make the error of a reference to an item that is missing, not stored, or not of an answer."""
    return BadRequest(
        f"Item with id '{item_id[:80]}' not found.", code="item_not_found", param=param
    )
