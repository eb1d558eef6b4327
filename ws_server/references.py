"""Look up the stored answers that a request names by id.

A short request may name a long answer many times, so their bytes are counted before they are put
together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from sys import getsizeof

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ConversationTooLong, ResponseNotFound
from turnstream.turns.ids import message_id
from turnstream.turns.turn import Item, Message, items_to_json
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
    """Return the request with the text of the answers that it names by id; see `looked_up`."""
    messages = await looked_up(create.messages, create.references, turn_client, owner, count)
    return replace(create, messages=messages, references=())


async def looked_up(
    messages: Sequence[Item],
    references: Sequence[Reference],
    turn_client: TurnClient,
    owner: str,
    count: CountBytes = count_nothing,
) -> tuple[Item, ...]:
    """Return items with the text of the answers among them that are named by id.

    Args:
        count: called with the bytes of each answer before it is added; it may raise an error.

    Raises:
        BadRequest: an answer is missing, not stored, or another owner's.
        ConversationTooLong: with them the items have more bytes than a conversation may have.
        Overloaded: Redis is unavailable.
    """
    found = list(messages)
    if not references:
        return tuple(found)
    most, size = turn_client.conversation_bytes, len(items_to_json(found).encode())
    answers: dict[str, str] = {}
    for reference in references:
        id = reference.response_id
        try:
            if id not in answers:
                answers[id] = await turn_client.stored.answer(id, owner)
        except ResponseNotFound as exc:
            raise items.item_not_found(message_id(id), reference.param) from exc
        added = len(answers[id].encode())
        size += added
        if size > most:
            raise ConversationTooLong(f"{most} bytes")
        count(getsizeof(answers[id]))
        found[reference.at] = Message("assistant", answers[id])
    return tuple(found)
