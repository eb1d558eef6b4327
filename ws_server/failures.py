"""HTTP answers to every kind of exception: always JSON with an `error` object."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from turnstream.turns.errors import TurnError
from turnstream.turns.shapes import Error
from turnstream.ws_server.bodies import ErrorBody
from turnstream.ws_server.request_errors import NotServed
from turnstream.ws_server.wire import error_response, json_response

log = logging.getLogger(__name__)

#: Status for a client that has disconnected; nobody reads it.
_CLIENT_LEFT = 499


async def refuse(request: Request, exc: Exception) -> Response:
    """Answer one of our errors."""
    assert isinstance(exc, TurnError)
    return error_response(exc)


async def no_such_route(request: Request, exc: Exception) -> Response:
    """Answer a path or a method that is not served."""
    assert isinstance(exc, HTTPException)
    if exc.status_code == 404:
        return error_response(NotServed(request.url.path, _served(request)))
    error = Error(
        type="invalid_request_error",
        code="method_not_allowed" if exc.status_code == 405 else "invalid_value",
        message=f"{exc.detail}: {request.method} {request.url.path[:200]}",
        param=None,
    )
    headers = {**(exc.headers or {}), "x-should-retry": "false"}
    if exc.status_code == 405:
        headers["Allow"] = _allowed(request)
    return json_response(ErrorBody(error=error), status=exc.status_code, headers=headers)


def _allowed(request: Request) -> str:
    # Starlette names the methods of one route only, but a path may have several routes.
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    first = next(route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = {
        method for route in routes if route.path == first.path for method in route.methods or ()
    }
    return ", ".join(sorted(methods))


def _served(request: Request) -> list[str]:
    """Return the paths of the API, without those below them."""
    routes = request.app.routes
    paths = sorted({route.path for route in routes if isinstance(route, Route)})
    return [path for path in paths if path.startswith("/v1/") and not _below(path, paths)]


def _below(path: str, others: list[str]) -> bool:
    return any(path.startswith(other + "/") for other in others if other != "/")


async def client_left(request: Request, exc: Exception) -> Response:
    """Answer a client that has disconnected."""
    return Response(status_code=_CLIENT_LEFT)


class Failures:
    """Middleware that answers any other exception with a 500; the log has its traceback.

    Starlette's own would answer outside all other middleware, so without its headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if begun:
                raise
            request_id = scope["request_id"]
            log.exception(
                "%s: %s %s failed",
                request_id,
                scope["method"],
                scope["path"],
                extra={"request_id": request_id},
            )
            await _broken(request_id)(scope, receive, send)


def _broken(request_id: str) -> Response:
    error = Error(
        type="server_error",
        code="server_error",
        message=f"The server failed. Its log tells why under {request_id}.",
        param=None,
    )
    return json_response(ErrorBody(error=error), status=500)


#: The handler of each kind of exception.
HANDLERS: dict[type[Exception], ExceptionHandler] = {
    TurnError: refuse,
    HTTPException: no_such_route,
    ClientDisconnect: client_left,
}
