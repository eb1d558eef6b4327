"""Stored responses: list the input of one, or delete it."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.ids import message_id
from turnstream.turns.turn import Message
from turnstream.ws_server import field
from turnstream.ws_server.bodies import Deleted, InputItem, InputItemList, InputText, SaidText
from turnstream.ws_server.http import response_id_of
from turnstream.ws_server.state import admit
from turnstream.ws_server.wire import json_response


async def delete_response(request: Request) -> Response:
    """`DELETE /v1/responses/ID`: delete it and its messages."""
    state, owner = admit(request)
    id = response_id_of(request)
    await state.turn_client.stored.delete(id, owner)
    return json_response(Deleted(id=id))


async def list_input_items(request: Request) -> Response:
    """`GET /v1/responses/ID/input_items`: the messages of its request, latest first."""
    state, owner = admit(request)
    id = response_id_of(request)
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    order = field.word(query, "order", "desc", ("asc", "desc"))
    messages = await state.turn_client.stored.input_of(id, owner)
    listed = [input_item(id, number, message) for number, message in enumerate(messages)]
    if order == "desc":
        listed.reverse()
    ids = [item.id for item in listed]
    after = query.get("after")
    if after is not None and after not in ids:
        raise field.wrong("after", "the id of an item of this response")
    start = 0 if after is None else ids.index(after) + 1
    page = listed[start : start + limit]
    return json_response(InputItemList.of(page, more=start + limit < len(listed)))


def input_item(response_id: str, number: int, message: Message) -> InputItem:
    """Return an input message of a response as an item."""
    part = SaidText if message.role == "assistant" else InputText
    id = f"{message_id(response_id)}_{number}"
    return InputItem(id=id, role=message.role, content=(part(text=message.text),))
