"""The floor of a turn on a WebSocket: a bare server that makes the shortest trip for each message.

`python -m benchmarks.bare_trip`, with `TURNSTREAM_PORT` and `TURNSTREAM_REDIS_URL`; uvicorn and its
options are those of the front end. It serves one socket at a time.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from benchmarks.trips import BARE, redis_trip
from turnstream.ws_server.serve import listen


async def trip(socket: WebSocket) -> None:
    """Answer each message when another process has published it."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(await socket.app.state.trip(text))


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


@asynccontextmanager
async def connected(app: Starlette) -> AsyncIterator[None]:
    """Connect to Redis while the application runs."""
    async with redis_trip(os.environ["TURNSTREAM_REDIS_URL"], BARE) as app.state.trip:
        yield


def main() -> None:
    """Serve until told to stop."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    app = Starlette(
        routes=[Route("/healthz", healthz), WebSocketRoute("/", trip)], lifespan=connected
    )
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        access_log=False,
        log_config=None,
    )
    uvicorn.Server(config).run(sockets=[listen("127.0.0.1", int(os.environ["TURNSTREAM_PORT"]))])


if __name__ == "__main__":
    main()
