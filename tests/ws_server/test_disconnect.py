"""HTTP clients that disconnect before their answer has ended; no worker runs, so none ends."""

import asyncio
import json

import httpx2
import pytest
from redis.asyncio import Redis

from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns import keys

WAIT_SECONDS = 20
MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def http(node: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS)


async def asked_under(redis: Redis, key: str) -> str:
    """Wait until a turn was created with a key and return its id; its client has no event yet."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (id := await redis.hget(keys.idempotency("local", key), "id")):  # type: ignore[misc]
            await asyncio.sleep(0.02)
    assert isinstance(id, bytes)
    return id.decode()


async def leave(
    node: str, redis: Redis, *, key: str = "mine", path: str = "responses", **fields: object
) -> str:
    """Ask, leave as soon as the turn is there, and give its response's id."""
    question = {"input": "Hi"} if path == "responses" else {"messages": MESSAGES}
    body = json.dumps(question | fields)
    host, port = node.removeprefix("http://").split(":")
    _, writing = await asyncio.open_connection(host, int(port))
    lines = (
        f"POST /v1/{path} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Idempotency-Key: {key}",
        f"Content-Length: {len(body)}",
    )
    writing.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    response_id = await asked_under(redis, key)
    writing.close()
    await writing.wait_closed()
    return response_id


async def test_a_turn_that_is_not_stored_ends_when_its_client_has_left(
    node: str, http: httpx2.AsyncClient, redis: Redis, worker: FakeWorker
) -> None:
    worker.heartbeat()
    left = await asyncio.gather(
        *(
            leave(node, redis, key=f"{path}, {stream}", path=path, stream=stream, store=False)
            for path in ("responses", "chat/completions")
            for stream in (True, False)
        )
    )

    async with http, asyncio.timeout(WAIT_SECONDS):
        for response_id in left:
            while (await http.get(f"/v1/responses/{response_id}")).json()["status"] != "cancelled":
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("kept", [{"store": True}, {"store": False, "background": True}])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_that_is_stored_or_in_the_background_goes_on_without_its_client(
    node: str, redis: Redis, worker: FakeWorker, stream: bool, kept: dict[str, bool]
) -> None:
    worker.heartbeat()
    response_id = await leave(node, redis, stream=stream, **kept)

    assert await redis.zscore(keys.watches(), response_id) is None
    assert (await worker.claim()).id == response_id


@pytest.mark.parametrize("stream", [True, False])
async def test_all_turns_of_a_text_completion_end_when_their_client_has_left(
    node: str, redis: Redis, worker: FakeWorker, stream: bool
) -> None:
    worker.heartbeat()
    await asked_and_left(node, redis, stream=stream)
    turns = await redis.keys(keys.turn("*"))

    assert len(turns) == 3
    async with asyncio.timeout(WAIT_SECONDS):
        for turn in turns:
            while await redis.hget(turn, "status") != b"cancelled":  # type: ignore[misc]
                await asyncio.sleep(0.1)


async def asked_and_left(node: str, redis: Redis, *, stream: bool) -> None:
    """Leave a text completion when all of its turns are there."""
    host, port = node.removeprefix("http://").split(":")
    body = json.dumps({"prompt": ["One", "Two", "Three"], "stream": stream})
    _, writing = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    writing.write((head + body).encode())
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await redis.keys(keys.turn("*"))) < 3:
            await asyncio.sleep(0.02)
    writing.close()
    await writing.wait_closed()
