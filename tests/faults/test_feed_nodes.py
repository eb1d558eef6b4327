"""A node is killed, and those who followed a conversation there go on at another one."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from harness.ports import free_port
from harness.proxy import Proxy
from harness.service import Service
from tests.faults.feed_followers import Device, Entries, Stream, types_of
from tests.faults.own_redis import Program, asked, eventually, running
from turnstream.client import AsyncClient, FeedEntry

PATIENCE_SECONDS = 60.0
#: A turn that ends at once, without a worker.
TURN = {"generate": False, "input": "Hi", "model": "demo"}


@dataclass(frozen=True, slots=True)
class Node:
    """A front end beside that of the service, at its Redis."""

    program: Program
    port: int


@pytest.fixture
def node(service: Service, tmp_path: Path) -> Iterator[Node]:
    port = free_port()
    redis_url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    environ = {"TURNSTREAM_PORT": str(port), "TURNSTREAM_MODEL": "demo"}
    with running("serve", tmp_path, redis_url, **environ) as program:
        eventually(lambda: asked(f"http://127.0.0.1:{port}/healthz")[0] == 200, program)
        yield Node(program, port)


async def until_all_have(followers: list[Entries], count: int) -> None:
    while not all(len(each.entries) >= count for each in followers):
        await asyncio.sleep(0.01)


async def test_followers_of_a_killed_node_get_each_entry_once_at_another(
    service: Service, node: Node
) -> None:
    entries: list[FeedEntry | None] = []
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Proxy(node.port) as proxy,
        httpx2.AsyncClient(base_url=service.url, timeout=30, verify=False) as http,
    ):
        balanced = f"http://127.0.0.1:{proxy.port}"
        id = (await http.post("/v1/conversations", json={})).json()["id"]

        async def turn() -> None:
            answer = await http.post("/v1/responses", json=TURN | {"conversation": id})
            answer.raise_for_status()

        device, stream = Device(balanced, id), Stream(balanced, id)
        followers: list[Entries] = [device, stream]
        following = [asyncio.create_task(each.follow()) for each in (device, stream)]
        async with AsyncClient(balanced) as client:
            feed = await client.follow(id)
            await turn()
            await until_all_have(followers, 3)
            entries += [await feed.next() for _ in range(3)]

            node.program.process.kill()
            await turn()
            proxy.target = int(service.url.rpartition(":")[2])
            await turn()
            await until_all_have(followers, 7)
            await turn()
            await until_all_have(followers, 9)
            entries += [await feed.next() for _ in range(6)]
            # Whoever follows later is told no more than this.
            (await http.delete(f"/v1/conversations/{id}")).raise_for_status()
            entries += [entry async for entry in feed.entries()]
        await asyncio.gather(*following)

    for each in followers:
        assert each.numbers == list(range(10))
        assert each.types == types_of(4)
    responses = [each.get("response_id") for each in stream.entries]
    assert [each.get("response_id") for each in device.entries] == responses
    assert [(each.sequence_number, each.response_id) for each in entries if each] == [
        *enumerate(responses)
    ]
