"""What all requests of a node hold is bounded, and one owner or address can't take it all."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.ws_server.conftest import Node
from tests.ws_server.connection_harness import MESSAGE_BYTES, frame, opened
from turnstream.turns.errors import Overloaded
from turnstream.ws_server.connections.byte_room import ByteRoom
from turnstream.ws_server.unanswered import Unanswered

TEXT, CONTINUED = 1, 0


def test_an_owner_takes_half_and_all_take_no_more_than_there_is() -> None:
    room = ByteRoom(1000, "All")
    anns, more, bobs, cids = (room.begin(owner) for owner in ("ann", "ann", "bob", "cid"))
    anns.take(300)
    more.take(200)
    with pytest.raises(Overloaded, match=r"500 bytes, 500 of them yours: at most 1000"):
        anns.take(1)
    bobs.take(450)
    with pytest.raises(Overloaded):
        cids.take(51)

    more.close()
    cids.take(51)

    assert (anns.bytes, more.bytes, bobs.bytes, cids.bytes) == (300, 0, 450, 51)


def test_a_single_one_takes_any_size() -> None:
    room = ByteRoom(1000, "All")
    alone = room.begin("ann")
    for _ in range(3):
        alone.take(5000)
    with pytest.raises(Overloaded):
        room.begin("bob").take(1)
    alone.close()
    room.begin("bob").take(1)


def test_the_requests_of_all_sockets_of_a_node_count_together() -> None:
    room = ByteRoom(1000, "All")
    one, other = (Unanswered(800, room.begin("ann")) for _ in range(2))
    one.add(400)
    with pytest.raises(Overloaded):
        other.add(200)
    one.remove(400)
    other.add(200)


async def test_bodies_that_are_still_read_are_counted_and_given_back(local_node: Node) -> None:
    half, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"input": "' + 30_000 * b"x"
        half.set()
        await go_on.wait()
        yield b'", "background": true}'

    async def ask(client: httpx2.AsyncClient, owner: str = "ann") -> httpx2.Response:
        body = {"input": 30_000 * "x", "background": True}
        headers = {"authorization": f"Bearer {owner}"}
        return await client.post("/v1/responses", json=body, headers=headers)

    async with local_node(NODE_BYTES="100000") as client, asyncio.timeout(60):
        held = asyncio.create_task(client.post("/v1/responses", content=slow()))
        await half.wait()
        refused, other = await ask(client), await ask(client, "bob")
        go_on.set()
        answers = [await held, await ask(client)]

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "overloaded"
    assert "100000" in refused.json()["error"]["message"]
    assert [answer.status_code for answer in (other, *answers)] == [200] * 3


async def test_uploads_count_for_what_they_have_in_memory(local_node: Node) -> None:
    half, go_on = asyncio.Event(), asyncio.Event()
    file = b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n" + 30_000 * b"y"
    purpose = b"\r\n--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n--x--\r\n"
    length = str(len(file + purpose))
    headers = {"content-type": "multipart/form-data; boundary=x", "content-length": length}

    async def slow() -> AsyncIterator[bytes]:
        yield file
        half.set()
        await go_on.wait()
        yield purpose

    async def upload(client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.post("/v1/files", content=file + purpose, headers=headers)

    async with local_node(NODE_BYTES="100000") as client, asyncio.timeout(60):
        held = asyncio.create_task(client.post("/v1/files", content=slow(), headers=headers))
        await half.wait()
        refused = await upload(client)
        go_on.set()
        answers = [await held, await upload(client)]

    assert refused.status_code == 503
    assert "100000" in refused.json()["error"]["message"]
    assert [answer.status_code for answer in answers] == [200] * 2


async def test_a_message_beyond_those_that_are_arriving_is_refused_with_1013() -> None:
    half = frame(TEXT, b"x" * (MESSAGE_BYTES // 2), final=False)
    async with opened(node_bytes=MESSAGE_BYTES, body_seconds=20.0) as target:
        first, second = [await target.upgraded() for _ in range(2)]
        first.send(half)
        async with asyncio.timeout(20):
            while not target.server._admission.arriving._held:
                await asyncio.sleep(0.01)
        second.send(half)
        assert await second.close_code() == 1013
        first.send(frame(CONTINUED, b"y"))
        assert (await first.exactly(4))[:2] == b"\x81\x7e"
        third = await target.upgraded()
        third.send(half + frame(CONTINUED))
        assert (await third.exactly(4))[:2] == b"\x81\x7e"
