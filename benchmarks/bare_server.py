"""The peer of the attacks: bare Starlette on uvicorn's own protocols, with the same options.

`python -m benchmarks.bare_server`, with `TURNSTREAM_PORT`.
"""

import logging
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from turnstream.ws_server.serve import listen

#: The largest message.
MESSAGE_BYTES = 4 * 1024 * 1024


async def follow(socket: WebSocket) -> None:
    """Accept a socket and read what it sends."""
    await socket.accept()
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def read(request: Request) -> Response:
    """Read a body."""
    return JSONResponse({"size": len(await request.body())})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


def create_app() -> Starlette:
    """Make the application."""
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/responses", read, methods=["POST"]),
            WebSocketRoute("/v1/responses", follow),
        ]
    )


def main() -> None:
    """Serve until told to stop."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        create_app(),
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        access_log=False,
        log_config=None,
    )
    uvicorn.Server(config).run(sockets=[listen("127.0.0.1", int(os.environ["TURNSTREAM_PORT"]))])


if __name__ == "__main__":
    main()
