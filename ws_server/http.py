"""The same turns over HTTP: `/v1/responses` and what belongs to it."""

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turns.errors import BadRequest, ResponseNotFound
from turns.follower import Follower
from turns.front import Front
from turns.ids import is_response_id
from ws_server import field
from ws_server.create import read_create, with_key
from ws_server.directory import Directory
from ws_server.event_stream import EventStream, ResponsesWire
from ws_server.frames import MESSAGE_BYTES
from ws_server.wire import read_json


async def create_response(request: Request) -> Response:
    """`POST /v1/responses`: the whole answer, or with `stream` its events as they come."""
    owner = request.app.state.access.admit(request).owner
    front: Front = request.app.state.front
    directory: Directory = request.app.state.directory
    body = read_json(await read_body(request))
    create = with_key(read_create(body), request.headers.get("idempotency-key"))
    turn = create.turn(owner, await directory.find(create.model), parent_cached=False)
    if field.boolean(body, "stream", False):
        return EventStream(front.submit(turn), ResponsesWire())
    end = await last_event(front.submit(turn))
    if end["type"] == "error":
        return JSONResponse({"error": end["error"]}, status_code=end["status"])
    return JSONResponse(end["response"])


async def last_event(following: AbstractAsyncContextManager[Follower]) -> dict[str, Any]:
    """Wait for the end of a turn and give its terminal event."""
    async with following as follower:
        async for batch in follower.batches():
            if batch:
                last = batch[-1]
    end: dict[str, Any] = json.loads(last)
    return end


async def get_response(request: Request) -> Response:
    """`GET /v1/responses/ID`: as it is now, or with `stream=true` its events from any number on."""
    owner = request.app.state.access.admit(request).owner
    front: Front = request.app.state.front
    response_id = response_id_of(request)
    if request.query_params.get("stream") != "true":
        found = await front.stored.response(response_id, owner)
        return Response(found, media_type="application/json")
    after = field.starting_after(request.query_params.get("starting_after"))
    return EventStream(front.follow(response_id, owner, after=after), ResponsesWire())


async def cancel_response(request: Request) -> Response:
    """`POST /v1/responses/ID/cancel`: stop it, wherever it is."""
    owner = request.app.state.access.admit(request).owner
    front: Front = request.app.state.front
    response_id = response_id_of(request)
    await front.cancel(response_id, owner)
    await last_event(front.follow(response_id, owner, after=-1))
    return Response(await front.stored.response(response_id, owner), media_type="application/json")


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: every model that can be asked for."""
    request.app.state.access.admit(request)
    directory: Directory = request.app.state.directory
    models = [
        {"id": model.name, "object": "model", "created": model.created, "owned_by": "turnstream"}
        for model in await directory.all()
    ]
    return JSONResponse({"object": "list", "data": models})


async def read_body(request: Request) -> bytes:
    """Read a request's body, within the bounds of a message.

    Raises:
        BadRequest: it is too large.
    """
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MESSAGE_BYTES:
            raise BadRequest(f"A request may have {MESSAGE_BYTES} bytes at most.")
    return bytes(chunks)


def response_id_of(request: Request) -> str:
    """Read the response's id from the path.

    Raises:
        ResponseNotFound: it can't be the id of a response at all.
    """
    response_id: str = request.path_params["id"]
    if not is_response_id(response_id):
        raise ResponseNotFound(response_id[:80])
    return response_id
