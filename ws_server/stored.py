"""What is kept of a response: what it was asked with, and how it is forgotten."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turnstream.turns.client import TurnClient
from turnstream.turns.ids import message_id
from turnstream.turns.turn import Message
from turnstream.ws_server import field
from turnstream.ws_server.access import owner_of
from turnstream.ws_server.bodies import Deleted, InputItem, InputItemList, InputText, SaidText
from turnstream.ws_server.http import response_id_of
from turnstream.ws_server.list_page import list_page


async def delete_response(request: Request) -> Response:
    """`DELETE /v1/responses/ID`: forget it, with all that was said."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    id = response_id_of(request)
    await turn_client.stored.delete(id, owner)
    body: Deleted = {"id": id, "object": "response", "deleted": True}
    return JSONResponse(body)


async def list_input_items(request: Request) -> Response:
    """`GET /v1/responses/ID/input_items`: the messages it was asked with, latest first."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    id = response_id_of(request)
    query = request.query_params
    limit = field.whole_text(query.get("limit"), "limit", 20, least=1, most=100)
    order = field.word(query, "order", "desc", ("asc", "desc"))
    messages = await turn_client.stored.input_of(id, owner)
    listed = [_item(id, number, message) for number, message in enumerate(messages)]
    if order == "desc":
        listed.reverse()
    ids = [item["id"] for item in listed]
    after = query.get("after")
    if after is not None and after not in ids:
        raise field.wrong("after", "the id of an item of this response")
    start = 0 if after is None else ids.index(after) + 1
    body: InputItemList = list_page(listed[start : start + limit], more=start + limit < len(listed))
    return JSONResponse(body)


def _item(response_id: str, number: int, message: Message) -> InputItem:
    part: InputText | SaidText = {"type": "input_text", "text": message.text}
    if message.role == "assistant":
        part = {"type": "output_text", "text": message.text, "annotations": []}
    return {
        "id": f"{message_id(response_id)}_{number}",
        "type": "message",
        "role": message.role,
        "status": "completed",
        "content": [part],
    }
