"""Requests over HTTP count for what they have in memory until they are answered."""

import asyncio
import json
from typing import Any

import pytest

from tests.ws_server.conftest import Node
from turnstream.ws_server.unanswered import ID_BYTES, MESSAGE_BYTES

SCHEMA = {"type": "object", "properties": {f"p{n}": {} for n in range(2_000)}}


@pytest.mark.parametrize(
    ("endpoint", "asked", "least"),
    [
        pytest.param(
            "responses", {"input": "\N{GRINNING FACE}" + "a" * 50_000}, 200_000, id="wide"
        ),
        pytest.param(
            "responses",
            {"input": [{"role": "user", "content": "a"}] * 2_000},
            2_000 * MESSAGE_BYTES,
            id="messages",
        ),
        pytest.param(
            "chat/completions",
            {"messages": [{"role": "user", "content": "a"}] * 2_000},
            2_000 * MESSAGE_BYTES,
            id="messages of a chat",
        ),
        pytest.param(
            "responses",
            {"input": "a", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
            8 * len(json.dumps(SCHEMA)),
            id="tools",
        ),
        pytest.param("completions", {"prompt": [1] * 9_000}, 9_000 * ID_BYTES, id="ids"),
    ],
)
async def test_a_request_counts_for_more_than_its_bytes(
    local_node: Node, endpoint: str, asked: dict[str, Any], least: int
) -> None:
    body = json.dumps(asked, ensure_ascii=False).encode()
    async with local_node() as client:
        room = client._transport.app.state.node.requests  # type: ignore[attr-defined]
        # No worker is there, so that it waits.
        waiting = asyncio.create_task(client.post(f"/v1/{endpoint}", content=body))
        async with asyncio.timeout(30):
            while (held := room._held["ann"]) < least and not waiting.done():
                await asyncio.sleep(0.01)
        answered = waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])

        assert not answered
        assert held >= least > len(body)
        assert not room._held.total()
