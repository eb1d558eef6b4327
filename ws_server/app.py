"""The application: its routes, and what lives as long as it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from turnstream.turns.client import open_client
from turnstream.turns.model_name import served_name
from turnstream.ws_server import counting, health, http, models, stored
from turnstream.ws_server.access import Access
from turnstream.ws_server.batches import files
from turnstream.ws_server.batches import routes as batches
from turnstream.ws_server.batches.service import open_batches
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.failures import HANDLERS
from turnstream.ws_server.request_id import RequestId
from turnstream.ws_server.settings import ServerSettings
from turnstream.ws_server.socket import no_such_socket, responses_socket
from turnstream.ws_server.state import NodeState

_STATIC = Path(__file__).parent / "static"
#: Made by `python -m scripts.schemas`.
_OPENAPI = Path(__file__).parent / "openapi.json"

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
        async with open_client(settings.turns, settings.node) as turn_client:
            directory = Directory(turn_client, model)
            async with open_batches(settings, directory) as batch_service:
                app.state.node = NodeState(
                    access=Access(settings),
                    turn_client=turn_client,
                    directory=directory,
                    batches=batch_service,
                    model=model,
                    socket_limits=settings.socket,
                )
                yield

    return Starlette(
        routes=[
            Route("/", _page),
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/openapi.json", _openapi),
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            WebSocketRoute("/v1/responses", responses_socket),
            Route("/v1/responses", http.create_response, methods=["POST"]),
            Route("/v1/responses/input_tokens", counting.count_input_tokens, methods=["POST"]),
            Route("/v1/responses/compact", counting.compact, methods=["POST"]),
            Route("/v1/responses/{id}", http.get_response),
            Route("/v1/responses/{id}", stored.delete_response, methods=["DELETE"]),
            Route("/v1/responses/{id}/input_items", stored.list_input_items),
            Route("/v1/responses/{id}/cancel", http.cancel_response, methods=["POST"]),
            Route("/v1/chat/completions", http.create_completion, methods=["POST"]),
            Route("/v1/models", models.list_models),
            Route("/v1/models/{name:path}", models.get_model),
            Route("/v1/files", files.create_file, methods=["POST"]),
            Route("/v1/files", files.list_files),
            Route("/v1/files/{id}", files.get_file),
            Route("/v1/files/{id}", files.delete_file, methods=["DELETE"]),
            Route("/v1/files/{id}/content", files.get_file_content),
            Route("/v1/batches", batches.create_batch, methods=["POST"]),
            Route("/v1/batches", batches.list_batches),
            Route("/v1/batches/{id}", batches.get_batch),
            Route("/v1/batches/{id}/cancel", batches.cancel_batch, methods=["POST"]),
            WebSocketRoute("/{path:path}", no_such_socket),
        ],
        middleware=[Middleware(RequestId)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )


async def _openapi(request: Request) -> Response:
    return FileResponse(_OPENAPI)


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers=_PAGE_HEADERS)
