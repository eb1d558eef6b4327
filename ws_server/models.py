"""`/v1/models`: the models that requests may name."""

from starlette.requests import Request
from starlette.responses import Response

from turnstream.ws_server import bodies
from turnstream.ws_server.directory import Directory, Model
from turnstream.ws_server.wire import json_response


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: all of them, by name."""
    request.app.state.access.admit(request)
    directory: Directory = request.app.state.directory
    return json_response(bodies.ModelList(data=tuple(map(_object, await directory.all()))))


async def get_model(request: Request) -> Response:
    """`GET /v1/models/NAME`: one of them."""
    request.app.state.access.admit(request)
    directory: Directory = request.app.state.directory
    return json_response(_object(await directory.find(request.path_params["name"])))


def _object(model: Model) -> bodies.Model:
    return bodies.Model(id=model.name, created=model.created)
