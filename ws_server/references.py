"""Look up what stored answers consist of that a request names by id.

A short request may name a long answer many times, so their bytes are counted before they are put
together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from sys import getsizeof

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ConversationTooLong, ResponseNotFound
from turnstream.turns.turn import FunctionCall, Item, Message, items_to_json
from turnstream.ws_server import items
from turnstream.ws_server.create import Create
from turnstream.ws_server.items import Reference

#: Counts bytes that a request has in memory, or raises `Overloaded`.
CountBytes = Callable[[int], None]


def count_nothing(size: int) -> None:
    """Ignore the bytes of answers that a request names."""


async def resolved(
    create: Create, turn_client: TurnClient, owner: str, count: CountBytes = count_nothing
) -> Create:
    """Return the request with the items that it names by id; see `looked_up`."""
    if not create.references:
        return create
    messages = await looked_up(create.messages, create.references, turn_client, owner, count)
    return replace(create, messages=messages, references=())


async def looked_up(
    messages: Sequence[Item],
    references: Sequence[Reference],
    turn_client: TurnClient,
    owner: str,
    count: CountBytes = count_nothing,
) -> tuple[Item, ...]:
    """Return items, those among them that are named by id from their stored answers.

    Args:
        count: called with the bytes of each such item before it is added; it may raise an error.

    Raises:
        BadRequest: an item is missing, not stored, or another owner's.
        ConversationTooLong: with them the items have more bytes than a conversation may have.
        Overloaded: Redis is unavailable.
    """
    found = list(messages)
    if not references:
        return tuple(found)
    most, size = turn_client.conversation_bytes, len(items_to_json(found).encode())
    known: dict[str, Message | FunctionCall] = {}
    for reference in references:
        id = reference.item_id
        try:
            if id not in known:
                known[id] = await _item(reference, turn_client, owner)
        except ResponseNotFound as exc:
            raise items.item_not_found(id, reference.param) from exc
        size += sum(len(text.encode()) for text in _texts(known[id]))
        if size > most:
            raise ConversationTooLong(f"{most} bytes")
        count(sum(map(getsizeof, _texts(known[id]))))
        found[reference.at] = known[id]
    return tuple(found)


async def _item(
    reference: Reference, turn_client: TurnClient, owner: str
) -> Message | FunctionCall:
    if reference.call is None:
        text = await turn_client.stored.answer(reference.response_id, owner)
        return Message("assistant", text)
    return await turn_client.stored.call(reference.response_id, owner, reference.call)


def _texts(item: Message | FunctionCall) -> tuple[str, ...]:
    match item:
        case Message(_, text):
            return (text,)
        case FunctionCall(name=name, arguments=arguments):
            return name, arguments
