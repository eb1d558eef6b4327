"""`/v1/models`: which models can be asked for."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from turnstream.ws_server import bodies
from turnstream.ws_server.directory import Directory, Model


async def list_models(request: Request) -> Response:
    """`GET /v1/models`: all of them, by name."""
    request.app.state.access.admit(request)
    directory: Directory = request.app.state.directory
    body: bodies.ModelList = {"object": "list", "data": [*map(_object, await directory.all())]}
    return JSONResponse(body)


async def get_model(request: Request) -> Response:
    """`GET /v1/models/NAME`: one of them."""
    request.app.state.access.admit(request)
    directory: Directory = request.app.state.directory
    return JSONResponse(_object(await directory.find(request.path_params["name"])))


def _object(model: Model) -> bodies.Model:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "turnstream",
    }
