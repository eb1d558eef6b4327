"""The application: routes, and what lives as long as the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from turns.errors import TurnError
from turns.front import open_front
from turns.model_name import served_name
from ws_server import chat, health, http, stored
from ws_server.access import Access
from ws_server.directory import Directory
from ws_server.settings import ServerSettings
from ws_server.socket import responses_socket
from ws_server.wire import error_response

_STATIC = Path(__file__).parent / "static"

#: The page loads nothing from elsewhere and talks to this host only.
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def create_app(settings: ServerSettings) -> Starlette:
    """Make the application of one node."""
    model = served_name(settings.model)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_front(settings.turns, settings.node) as front:
            app.state.front = front
            app.state.directory = Directory(front, model)
            yield

    app = Starlette(
        routes=[
            Route("/", _page),
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            WebSocketRoute("/v1/responses", responses_socket),
            Route("/v1/responses", http.create_response, methods=["POST"]),
            Route("/v1/responses/{id}", http.get_response),
            Route("/v1/responses/{id}", stored.delete_response, methods=["DELETE"]),
            Route("/v1/responses/{id}/input_items", stored.list_input_items),
            Route("/v1/responses/{id}/cancel", http.cancel_response, methods=["POST"]),
            Route("/v1/chat/completions", chat.create_completion, methods=["POST"]),
            Route("/v1/models", http.list_models),
        ],
        exception_handlers={TurnError: _refuse},
        lifespan=lifespan,
    )
    app.state.access = Access(settings)
    #: The sockets that are open.
    app.state.sessions = set()
    app.state.model = model
    return app


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers=_PAGE_HEADERS)


async def _refuse(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, TurnError)
    return error_response(exc)
