"""A client of the socket that reads one event at a time."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.ws_server.fake_worker import FakeWorker

READ_SECONDS = 20
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}

Event = dict[str, Any]


def socket_url(node: str, query: str = "") -> str:
    """Return the address of a node's socket."""
    return node.replace("http", "ws", 1) + "/v1/responses" + query


async def create(socket: ClientConnection, **fields: Any) -> None:
    """Ask for a response."""
    await send(socket, type="response.create", **fields)


async def send(socket: ClientConnection, **frame: Any) -> None:
    """Send a frame."""
    await socket.send(json.dumps(frame))


async def event(socket: ClientConnection) -> Event:
    """Read the next event."""
    async with asyncio.timeout(READ_SECONDS):
        read: Event = json.loads(await socket.recv())
    return read


async def until(socket: ClientConnection, *types: str) -> Event:
    """Read to the first event of one of these types; the lanes' events may be interleaved."""
    # A limit for all events together: a waiting turn sends its position repeatedly.
    async with asyncio.timeout(READ_SECONDS):
        while (read := await event(socket))["type"] not in types:
            pass
    return read


async def end(socket: ClientConnection) -> Event:
    """Read to the next terminal event."""
    return await until(socket, *TERMINAL)


async def answered(socket: ClientConnection, worker: FakeWorker, **fields: Any) -> str:
    """Answer a turn with the fake worker and return its response's id."""
    await create(socket, **({"input": "One?"} | fields))
    await worker.claim()
    worker.say("One.")
    worker.end()
    response_id: str = (await end(socket))["response"]["id"]
    return response_id


def code_of(error: Event) -> tuple[str, int]:
    """Return the code and the status of an error."""
    assert error["type"] == "error", error
    return error["error"]["code"], error["status"]
