"""The peer of the relay: the same server, with a Redis subscription for each socket.

Most chat servers over Redis are written like this. Server and settings are those of the front end;
each message is decoded by hiredis and sent unchanged, so only the path from Redis to the socket
differs. `python -m benchmarks.peer`, with `TURNSTREAM_REDIS_URL` and `TURNSTREAM_PORT`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
import uvicorn
from redis.asyncio.client import PubSub
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from turnstream.ws_server.serve import listen
from turnstream.ws_server.settings import BODY_BYTES

#: More than the sockets of any run.
CONNECTIONS = 10_000


def channel(number: int) -> str:
    """Return the channel of one socket."""
    return f"peer:{number}"


async def follow(socket: WebSocket) -> None:
    """Send a socket what is published to its channel, until it disconnects."""
    async with socket.app.state.redis.pubsub() as pubsub:
        await pubsub.subscribe(channel(socket.path_params["number"]))
        await pubsub.get_message(timeout=None)  # the confirmation
        await socket.accept()
        async with asyncio.TaskGroup() as tasks:
            forwarding = tasks.create_task(forward(pubsub, socket))
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
            forwarding.cancel()


async def forward(pubsub: PubSub, socket: WebSocket) -> None:
    """Send every message of a subscription to a socket."""
    async for message in pubsub.listen():
        await socket.send_text(message["data"])


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


def create_app(redis_url: str) -> Starlette:
    """Make the application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with redis.asyncio.Redis.from_url(
            redis_url,
            protocol=2,
            socket_timeout=None,
            decode_responses=True,
            max_connections=CONNECTIONS,
        ) as client:
            app.state.redis = client
            yield

    return Starlette(
        routes=[Route("/healthz", healthz), WebSocketRoute("/{number:int}", follow)],
        lifespan=lifespan,
    )


def main() -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        create_app(os.environ["TURNSTREAM_REDIS_URL"]),
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=BODY_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
        access_log=False,
        log_config=None,
    )
    listening = listen("127.0.0.1", int(os.environ["TURNSTREAM_PORT"]))
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
