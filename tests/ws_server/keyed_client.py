"""Requests with keys to a front end that needs them, as a test writes them."""

import asyncio
import json
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from tests.ws_server.wire_client import socket_url

WAIT_SECONDS = 20.0
#: A key that was made or revoked is in force on every node after this.
IN_FORCE_SECONDS = 1.0
#: Tokens that the worker of these tests says its model takes.
CONTEXT = 64

Json = dict[str, Any]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def ask(http: httpx2.AsyncClient, key: str, **fields: Any) -> httpx2.Response:
    body = {"input": "Hello", "background": True} | fields
    return await http.post("/v1/responses", json=body, headers=bearer(key))


async def token_for(http: httpx2.AsyncClient, key: str = "ann", **fields: Any) -> Json:
    answer = await http.post("/v1/client_tokens", json=fields, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made


def socket_of(http: httpx2.AsyncClient, key: str) -> Any:
    return connect(socket_url(str(http.base_url).rstrip("/")), additional_headers=bearer(key))


async def receive(socket: ClientConnection) -> Json:
    async with asyncio.timeout(WAIT_SECONDS):
        frame: Json = json.loads(await socket.recv())
    return frame
