"""A server on a socket that says what a test tells it, for tests of the client alone."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

Handler = Callable[[ServerConnection], Awaitable[None]]
ID = "resp_1"


@asynccontextmanager
async def server(handler: Handler, **options: object) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as listening:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def say(socket: ServerConnection, **event: object) -> None:
    await socket.send(json.dumps({"stream_id": "lane-0", **event}))


async def answer(socket: ServerConnection) -> None:
    response = {"id": ID, "status": "completed", "output": []}
    await say(socket, type="response.created", sequence_number=0, response=response)
    await say(socket, type="response.completed", sequence_number=1, response=response)


def overloaded(retry_after: str) -> dict[str, object]:
    return {
        "type": "error",
        "status": 503,
        "sequence_number": 0,
        "error": {"code": "overloaded", "message": "The queue is full."},
        "headers": {"retry-after": retry_after},
    }
