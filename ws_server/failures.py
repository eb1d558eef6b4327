"""How whatever goes wrong is answered over HTTP: always with an `error` object in JSON."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler

from turnstream.turns.errors import NotServed, TurnError
from turnstream.turns.shapes import Error
from turnstream.ws_server.wire import error_response

log = logging.getLogger(__name__)

#: What a client that has left is answered: it will not be read.
_CLIENT_LEFT = 499


async def refuse(request: Request, exc: Exception) -> Response:
    """Answer with an error of ours."""
    assert isinstance(exc, TurnError)
    return error_response(exc)


async def no_such_route(request: Request, exc: Exception) -> Response:
    """Answer a path or a method that is not served."""
    assert isinstance(exc, HTTPException)
    if exc.status_code == 404:
        return error_response(NotServed(request.url.path))
    error: Error = {
        "type": "invalid_request_error",
        "code": "method_not_allowed" if exc.status_code == 405 else "invalid_value",
        "message": f"{exc.detail}: {request.method} {request.url.path[:200]}",
        "param": None,
    }
    headers = {**(exc.headers or {}), "x-should-retry": "false"}
    if exc.status_code == 405:
        headers["Allow"] = _allowed(request)
    return JSONResponse({"error": error}, status_code=exc.status_code, headers=headers)


def _allowed(request: Request) -> str:
    # Starlette names the methods of one route only, and each of ours has one or two.
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    first = next(route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {
        method for route in routes if route.path == first.path for method in route.methods or ()
    }
    return ", ".join(sorted(methods))


async def client_left(request: Request, exc: Exception) -> Response:
    """Answer nobody."""
    return Response(status_code=_CLIENT_LEFT)


async def broken(request: Request, exc: Exception) -> Response:
    """Answer when the fault is ours; the server logs the rest of it."""
    request_id = request.scope["request_id"]
    log.error("%s: %s %s failed", request_id, request.method, request.url.path)
    error: Error = {
        "type": "server_error",
        "code": "server_error",
        "message": f"The server failed. Its log tells why under {request_id}.",
        "param": None,
    }
    # This answer does not come by where the others get their name.
    return JSONResponse({"error": error}, status_code=500, headers={"x-request-id": request_id})


#: What is answered to each kind of exception.
HANDLERS: dict[type[Exception], ExceptionHandler] = {
    TurnError: refuse,
    HTTPException: no_such_route,
    ClientDisconnect: client_left,
    Exception: broken,
}
