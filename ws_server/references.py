"""Puts answers where a request only refers to them.

Vercel's SDK does so: it knows that answers are stored, and sends their ids instead of their text.
"""

from dataclasses import replace

from turnstream.turns.errors import ResponseNotFound
from turnstream.turns.ids import message_id
from turnstream.turns.stored import Stored
from turnstream.turns.turn import Message
from turnstream.ws_server.create import Create
from turnstream.ws_server.items import item_not_found


async def resolved(create: Create, stored: Stored, owner: str) -> Create:
    """Fill in what a request refers to.

    Raises:
        BadRequest: there is no such answer, it is not stored, or another owner's.
        Overloaded: Redis is away.
    """
    messages = list(create.messages)
    for reference in create.references:
        try:
            text = await stored.answer(reference.response_id, owner)
        except ResponseNotFound as exc:
            raise item_not_found(message_id(reference.response_id), reference.param) from exc
        messages[reference.at] = Message("assistant", text)
    return replace(create, messages=tuple(messages), references=())
