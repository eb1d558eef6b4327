"""Conversations with an id: `/v1/conversations` and the items of each."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from turnstream.turns import conversations
from turnstream.turns.conversations import Conversations, TurnItems
from turnstream.turns.errors import BadRequest, ConversationNotFound, ItemNotFound
from turnstream.turns.ids import is_conversation_id, new_conversation_id, turn_of_item
from turnstream.turns.shapes import FunctionCallItem, MessageItem, OutputItem
from turnstream.turns.turn import Item, Message
from turnstream.ws_server import field, items
from turnstream.ws_server.bodies import InputCall, InputCallOutput, InputItem, SaidText
from turnstream.ws_server.body import read_request, share_of
from turnstream.ws_server.conversation_bodies import (
    Conversation,
    ConversationBody,
    ConversationDeleted,
    ConversationItemList,
    ConversationItemsBody,
    ConversationUpdateBody,
)
from turnstream.ws_server.decode import decode
from turnstream.ws_server.field import Body
from turnstream.ws_server.input_items import Items
from turnstream.ws_server.references import looked_up
from turnstream.ws_server.state import NodeState, admit, admit_visitor, state_of
from turnstream.ws_server.stored import input_item
from turnstream.ws_server.unanswered import MESSAGE_BYTES
from turnstream.ws_server.wire import json_response

#: An item as a list has it.
ListedItem = InputItem | InputCall | InputCallOutput
#: Turns whose items are read at once.
_TURNS_AT_ONCE = 50


async def create_conversation(request: Request) -> Response:
    """`POST /v1/conversations`: make one, perhaps with items."""
    state, owner = await admit(request)
    asked, read = await read_request(request, _read_new, empty=b"{}")
    messages = await _messages(request, owner, read)
    made = conversations.Conversation(
        id=new_conversation_id(), created_at=int(time.time()), metadata=asked.metadata or {}
    )
    await state.turn_client.conversations.create(made, owner, messages)
    return json_response(_body(made))


async def get_conversation(request: Request) -> Response:
    """`GET /v1/conversations/ID`."""
    state, owner = await _admit_reader(request)
    return json_response(_body(await state.turn_client.conversations.get(_id(request), owner)))


async def update_conversation(request: Request) -> Response:
    """`POST /v1/conversations/ID`: replace its metadata."""
    state, owner = await admit(request)
    id, metadata = _id(request), await read_request(request, _read_metadata)
    await state.turn_client.conversations.update(id, owner, metadata or {})
    return json_response(_body(await state.turn_client.conversations.get(id, owner)))


async def delete_conversation(request: Request) -> Response:
    """`DELETE /v1/conversations/ID`: delete it and what only it holds."""
    state, owner = await admit(request)
    id = _id(request)
    await state.turn_client.conversations.delete(id, owner)
    return json_response(ConversationDeleted(id=id))


async def create_items(request: Request) -> Response:
    """`POST /v1/conversations/ID/items`: add items at its end."""
    state, owner = await admit(request)
    id = _id(request)
    messages = await _messages(request, owner, await read_request(request, _read_added))
    added = await state.turn_client.conversations.add(id, owner, messages)
    listed = [item for turn in added for item in _listed(turn)]
    return json_response(ConversationItemList.of(listed, more=False))


async def list_items(request: Request) -> Response:
    """`GET /v1/conversations/ID/items`: its items, latest first."""
    state, owner = await _admit_reader(request)
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    newest_first = field.word(query, "order", "desc", ("asc", "desc")) == "desc"
    known = state.turn_client.conversations
    turns = await known.turns(_id(request), owner)
    if not newest_first:
        turns.reverse()
    after = query.get("after")
    if after is not None:
        turns = _from_turn_of(after, turns)
    page: list[ListedItem] = []
    found = after is None
    async for item in _read(known, owner, turns, newest_first=newest_first):
        if found:
            page.append(item)
        found = found or item.id == after
        if len(page) > limit:
            break
    if not found:
        raise _unknown_after()
    return json_response(ConversationItemList.of(page[:limit], more=len(page) > limit))


async def get_item(request: Request) -> Response:
    """`GET /v1/conversations/ID/items/ITEM`."""
    state, owner = await _admit_reader(request)
    known, item_id = state.turn_client.conversations, request.path_params["item_id"]
    turns = await known.turns(_id(request), owner)
    return json_response(await _find(known, owner, turns, item_id))


async def delete_item(request: Request) -> Response:
    """`DELETE /v1/conversations/ID/items/ITEM`: remove it; answers with the conversation."""
    state, owner = await admit(request)
    known, id, item_id = (
        state.turn_client.conversations,
        _id(request),
        request.path_params["item_id"],
    )
    found = await _find(known, owner, await known.turns(id, owner), item_id)
    turn_id, name = turn_of_item(found.id) or ("", "")
    if not await known.remove(id, owner, turn_id, name, found.id):
        raise ItemNotFound(item_id)
    return json_response(_body(await known.get(id, owner)))


async def _admit_reader(request: Request) -> tuple[NodeState, str]:
    """Admit a request that only reads one conversation; a client token may be bound to it."""
    state, visitor = await admit_visitor(request)
    visitor.check_conversation(_id(request))
    return state, visitor.owner


def _id(request: Request) -> str:
    id: str = request.path_params["id"]
    if not is_conversation_id(id):
        raise ConversationNotFound(id)
    return id


def _read_new(body: Body) -> tuple[ConversationBody, items.Input]:
    asked = decode(body, ConversationBody)
    return asked, _read_items(asked.items or [])


def _read_metadata(body: Body) -> dict[str, str] | None:
    if body.get("metadata", {}) is None:
        # Elsewhere null counts as absent; here it removes what there is.
        body = {**body, "metadata": {}}
    return decode(body, ConversationUpdateBody).metadata


def _read_added(body: Body) -> items.Input:
    return _read_items(decode(body, ConversationItemsBody).items)


def _read_items(asked: Items) -> items.Input:
    read = items.read_input(asked, "items")
    items.check_last_user(read)
    return read


async def _messages(request: Request, owner: str, read: items.Input) -> tuple[Item, ...]:
    share = share_of(request)
    share.take(len(read.items) * MESSAGE_BYTES)
    turn_client = state_of(request).turn_client
    return await looked_up(read.items, read.references, turn_client, owner, share.take)


async def _find(known: Conversations, owner: str, turns: Sequence[str], item_id: str) -> ListedItem:
    named = turn_of_item(item_id)
    if named is not None and named[0] in turns:
        for turn in await known.items([named[0]], owner):
            for item in _listed(turn):
                if item.id == item_id:
                    return item
    raise ItemNotFound(item_id)


def _from_turn_of(item_id: str, turns: list[str]) -> list[str]:
    named = turn_of_item(item_id)
    if named is None or named[0] not in turns:
        raise _unknown_after()
    return turns[turns.index(named[0]) :]


def _unknown_after() -> BadRequest:
    return field.wrong("after", "the id of an item of this conversation")


async def _read(
    known: Conversations, owner: str, turns: Sequence[str], *, newest_first: bool
) -> AsyncIterator[ListedItem]:
    for start in range(0, len(turns), _TURNS_AT_ONCE):
        for turn in await known.items(turns[start : start + _TURNS_AT_ONCE], owner):
            listed = _listed(turn)
            for item in reversed(listed) if newest_first else listed:
                yield item


def _listed(turn: TurnItems) -> list[ListedItem]:
    asked = [_input_item(turn.turn_id, number, item) for number, item in turn.asked]
    return [*asked, *map(_answer_item, turn.answers)]


def _answer_item(item: OutputItem) -> ListedItem:
    match item:
        case MessageItem():
            return InputItem(
                id=item.id,
                role="assistant",
                status=item.status,
                content=tuple(SaidText(text=part.text) for part in item.content),
            )
        case FunctionCallItem():
            return InputCall(
                id=item.id,
                call_id=item.call_id,
                name=item.name,
                arguments=item.arguments,
                status=item.status,
            )


def _input_item(turn_id: str, number: int, item: Item) -> ListedItem:
    # An id that its sender chose does not say where the item is.
    own = item if isinstance(item, Message) else replace(item, id=None)
    return input_item(turn_id, number, own)


def _body(made: conversations.Conversation) -> Conversation:
    return Conversation(id=made.id, created_at=made.created_at, metadata=made.metadata)


#: All of them.
ROUTES = (
    Route("/v1/conversations", create_conversation, methods=["POST"]),
    Route("/v1/conversations/{id}", get_conversation),
    Route("/v1/conversations/{id}", update_conversation, methods=["POST"]),
    Route("/v1/conversations/{id}", delete_conversation, methods=["DELETE"]),
    Route("/v1/conversations/{id}/items", create_items, methods=["POST"]),
    Route("/v1/conversations/{id}/items", list_items),
    Route("/v1/conversations/{id}/items/{item_id}", get_item),
    Route("/v1/conversations/{id}/items/{item_id}", delete_item, methods=["DELETE"]),
)
