"""The two ways to ask for a turn, HTTP and a socket, behind one interface."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx2
from websockets.asyncio.client import connect

from harness.service import Service
from tests.end_to_end.test_socket import answer

WAIT_SECONDS = 60

Event = dict[str, Any]


class Transport(Protocol):
    """Asks over HTTP or a socket: yields the events of one turn, or the one error."""

    async def __call__(self, **fields: Any) -> list[Event]: ...


@asynccontextmanager
async def over_http(service: Service) -> AsyncIterator[Transport]:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as client:

        async def ask(**fields: Any) -> list[Event]:
            reply = await client.post("/v1/responses", json=fields | {"stream": True})
            if reply.status_code != 200:
                return [{"type": "error", "status": reply.status_code} | reply.json()]
            blocks = reply.text.split("\n\n")
            assert blocks[-2:] == ["data: [DONE]", ""]
            events = []
            for block in blocks[:-2]:
                if block.startswith(":"):
                    continue  # a comment: the turn still waits
                name, data = block.split("\n")
                events.append(json.loads(data.removeprefix("data: ")))
                assert name == f"event: {events[-1]['type']}"
            return events

        yield ask


@asynccontextmanager
async def over_socket(service: Service) -> AsyncIterator[Transport]:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:

        async def ask(**fields: Any) -> list[Event]:
            return await answer(socket, **fields)

        yield ask
