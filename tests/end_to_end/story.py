"""A long answer on a socket: disconnect half-way and resume."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

ANSWER_SECONDS = 60
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "error"}
#: With any seed the answer is long.
STORY = {"input": "Write a long story.", "temperature": 1, "seed": 7, "max_output_tokens": 300}

Event = dict[str, Any]


def socket_url(url: str, **query: object) -> str:
    return f"{url.replace('http', 'ws', 1)}/v1/responses?{urlencode(query)}"


async def read(socket: ClientConnection, *, until: str = "") -> list[Event]:
    """Read to the terminal event, or to the first whose type ends so."""
    events: list[Event] = []
    async with asyncio.timeout(ANSWER_SECONDS):
        while not events or events[-1]["type"] not in TERMINAL:
            events.append(json.loads(await socket.recv()))
            if until and events[-1]["type"].endswith(until):
                break
    return events


async def ask(socket: ClientConnection, **fields: Any) -> None:
    await socket.send(json.dumps({"type": "response.create"} | fields))


async def begun(url: str, headers: dict[str, str] | None = None, **fields: Any) -> list[Event]:
    """Ask for a story, and drop the connection at its first slice."""
    async with connect(socket_url(url), additional_headers=headers) as socket:
        await ask(socket, **STORY | fields)
        return await read(socket, until="delta")


async def resumed(socket: ClientConnection, **fields: Any) -> list[Event]:
    await socket.send(json.dumps({"type": "turnstream:response.resume"} | fields))
    return await read(socket)


def numbers(events: list[Event]) -> list[int]:
    return [event["sequence_number"] for event in events]
