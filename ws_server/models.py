"""`/v1/models`: the models that requests may name."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.ws_server import bodies
from turnstream.ws_server.directory import Model
from turnstream.ws_server.state import admit
from turnstream.ws_server.wire import json_response


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: all of them, by name."""
    state, _ = admit(request)
    return json_response(bodies.ModelList(data=tuple(map(_object, await state.directory.all()))))


async def get_model(request: Request) -> Response:
    """`GET /v1/models/NAME`: one of them."""
    state, _ = admit(request)
    return json_response(_object(await state.directory.find(request.path_params["name"])))


def _object(model: Model) -> bodies.Model:
    return bodies.Model(id=model.name, created=model.created)
