"""Uploads at the same time have no more bytes than one after the other."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import redis.asyncio

from tests.ws_server.conftest import Node
from turnstream.turns import keys
from turnstream.turns.files import RECORD_BYTES

PIECE = 50_000
SIZE = 6 * PIECE
_HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
)
_END = b"\r\n--b--\r\n"


class Upload:
    """An upload that stops half-way until it is told to go on."""

    def __init__(self, *, sized: bool = False, owner: str = "ann") -> None:
        #: Bytes that a node may hold of it.
        self.held = 0
        self.half = asyncio.Event()
        self.go_on = asyncio.Event()
        self._headers = {
            "content-type": "multipart/form-data; boundary=b",
            "authorization": f"Bearer {owner}",
        }
        if sized:
            self._headers["content-length"] = str(len(_HEAD) + SIZE + len(_END))

    async def run(self, client: httpx2.AsyncClient) -> httpx2.Response:
        answer = await client.post("/v1/files", content=self._body(), headers=self._headers)
        if answer.status_code != 200:
            self.held = 0
        return answer

    async def _body(self) -> AsyncIterator[bytes]:
        yield _HEAD
        while self.held < SIZE:
            if self.held == SIZE // 2:
                self.half.set()
                await self.go_on.wait()
            self.held += PIECE
            yield b"x" * PIECE
        yield _END


async def whole(client: httpx2.AsyncClient, owner: str = "ann") -> httpx2.Response:
    upload = Upload(owner=owner)
    upload.go_on.set()
    return await upload.run(client)


@pytest.mark.parametrize("sized", [True, False])
async def test_uploads_at_once_take_no_more_than_their_owner_may_have(
    local_node: Node, redis: "redis.asyncio.Redis", sized: bool
) -> None:
    uploads = [Upload(sized=sized) for _ in range(8)]
    async with local_node(LIMITS="file_bytes=1000000") as client, asyncio.timeout(60):
        running = [asyncio.create_task(upload.run(client)) for upload in uploads]
        halves = [asyncio.create_task(upload.half.wait()) for upload in uploads]
        # Each is refused, or waits half-way.
        for ends in zip(running, halves, strict=True):
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        most = sum(upload.held for upload in uploads)
        for upload in uploads:
            upload.go_on.set()
        answers = await asyncio.gather(*running)
        most = max(most, sum(upload.held for upload in uploads))
        for half in halves:
            half.cancel()
        counted = int(await redis.hget(keys.file_sizes("ann"), "total") or 0)  # type: ignore[misc]
        afterwards = await whole(client)

    kept = [answer for answer in answers if answer.status_code == 200]
    refused = [answer.json()["error"] for answer in answers if answer.status_code == 429]
    assert len(kept) + len(refused) == len(uploads)
    # All of unknown size may be refused: none knows that another is about to give up its bytes.
    assert (1 if sized else 0) <= len(kept) <= 3
    assert {error["code"] for error in refused} == {"rate_limit_exceeded"}
    assert "file_bytes=1000000" in refused[0]["message"]
    assert most <= 1_000_000
    assert counted == len(kept) * (SIZE + RECORD_BYTES)
    assert afterwards.status_code == (200 if len(kept) < 3 else 429)


async def test_uploads_at_once_take_no_more_than_a_node_may_hold_and_an_owner_half_of_it(
    local_node: Node,
) -> None:
    slow, slow_too = Upload(), Upload(owner="bob")
    async with local_node(UPLOAD_BYTES="800000") as client, asyncio.timeout(60):
        running = [asyncio.create_task(upload.run(client)) for upload in (slow, slow_too)]
        await asyncio.gather(slow.half.wait(), slow_too.half.wait())
        refused = await whole(client)
        slow_too.go_on.set()
        await running[1]
        others = await whole(client, "bob")
        slow.go_on.set()
        answers = await asyncio.gather(*running)
        afterwards = await whole(client)

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "overloaded"
    assert "800000" in refused.json()["error"]["message"]
    assert [answer.status_code for answer in (*answers, others, afterwards)] == [200] * 4
