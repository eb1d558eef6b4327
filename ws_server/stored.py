"""Stored responses: list the input of one, or delete it."""

from typing import assert_never

from starlette.requests import Request
from starlette.responses import Response

from turnstream.turns.ids import message_id
from turnstream.turns.turn import FunctionCall, FunctionCallOutput, Item, Message
from turnstream.ws_server import field
from turnstream.ws_server.bodies import (
    Deleted,
    InputCall,
    InputCallOutput,
    InputItem,
    InputItemList,
    InputText,
    SaidText,
)
from turnstream.ws_server.http import response_id_of
from turnstream.ws_server.state import admit, admit_visitor
from turnstream.ws_server.wire import json_response


async def delete_response(request: Request) -> Response:
    """`DELETE /v1/responses/ID`: delete it and its messages."""
    state, owner = await admit(request)
    id = response_id_of(request)
    await state.turn_client.stored.delete(id, owner)
    return json_response(Deleted(id=id))


async def list_input_items(request: Request) -> Response:
    """`GET /v1/responses/ID/input_items`: the items of its request, latest first."""
    state, visitor = await admit_visitor(request)
    id = response_id_of(request)
    await visitor.check_response(id, state.turn_client)
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    order = field.word(query, "order", "desc", ("asc", "desc"))
    items = await state.turn_client.stored.input_of(id, visitor.owner)
    listed = [input_item(id, number, item) for number, item in enumerate(items)]
    if order == "desc":
        listed.reverse()
    ids = [item.id for item in listed]
    after = query.get("after")
    if after is not None and after not in ids:
        raise field.wrong("after", "the id of an item of this response")
    start = 0 if after is None else ids.index(after) + 1
    page = listed[start : start + limit]
    return json_response(InputItemList.of(page, more=start + limit < len(listed)))


def input_item(
    response_id: str, number: int, item: Item
) -> InputItem | InputCall | InputCallOutput:
    """Return an input item of a response as clients see it."""
    id = f"{message_id(response_id)}_{number}"
    match item:
        case Message():
            part = SaidText if item.role == "assistant" else InputText
            return InputItem(id=id, role=item.role, content=(part(text=item.text),))
        case FunctionCall():
            return InputCall(
                id=item.id or f"fc_{id.removeprefix('msg_')}",
                call_id=item.call_id,
                name=item.name,
                arguments=item.arguments,
                status=item.status,
            )
        case FunctionCallOutput():
            return InputCallOutput(
                id=item.id or f"fc_{id.removeprefix('msg_')}",
                call_id=item.call_id,
                output=item.output,
                status=item.status,
            )
        case _:
            assert_never(item)
