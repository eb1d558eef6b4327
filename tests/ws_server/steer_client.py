"""A client of the socket that steers what it reads."""

from typing import Any

from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import (
    Event,
    create,
    event,
    send,
    until,
)

EVENT = TypeAdapter(ResponsesServerEvent)


async def steer(socket: ClientConnection, response_id: str, input: Any, **fields: Any) -> None:
    """Add input to a response."""
    await send(
        socket, type="response.steer", previous_response_id=response_id, input=input, **fields
    )


async def running(socket: ClientConnection, worker: FakeWorker, **fields: Any) -> str:
    """Ask for a response, and write its beginning."""
    await create(socket, **({"input": "Why?"} | fields))
    claimed = await worker.claim()
    worker.say("Because")
    await until(socket, "response.output_text.delta")
    return claimed.id


async def all_until(socket: ClientConnection, type: str) -> list[Event]:
    """Read events to one of this type; each is one that the official SDK knows."""
    read: list[Event] = []
    while not read or read[-1]["type"] != type:
        read.append(await event(socket))
        EVENT.validate_python(read[-1], strict=True)
    return read
