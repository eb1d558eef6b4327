"""A node that goes says so, and what it carried goes on without it."""

import asyncio
import json
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.service import Service


async def test_a_node_told_to_go_says_so_then_closes_with_1012(tmp_path: Path) -> None:
    with Service(tmp_path) as house:
        async with connect(house.url.replace("http", "ws", 1) + "/v1/responses") as socket:
            house.child("serve").terminate()
            async with asyncio.timeout(30):
                notice = json.loads(await socket.recv())
                try:
                    await socket.recv()
                except ConnectionClosed as closed:
                    code = closed.rcvd.code if closed.rcvd else None

    assert notice["type"] == "turnstream:server.draining"
    assert 0 <= notice["retry_after_ms"] < 2000
    assert code == 1012
