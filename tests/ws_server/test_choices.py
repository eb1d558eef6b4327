"""Several answers to one chat completion request, with a worker that is played by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns import keys

WAIT_SECONDS = 20
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "n": 2, "seed": 7}


@pytest.fixture
async def http(node: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS) as client:
        yield client


async def claimed(worker: FakeWorker) -> tuple[FakeWorker, FakeWorker]:
    """Claim both turns, each by a worker of its own name in this test."""
    await worker.claim()
    other = replace(worker)
    await other.claim()
    return worker, other


async def status(redis: Redis, worker: FakeWorker) -> str:
    assert worker.claimed is not None
    found = await redis.hget(keys.turn(worker.claimed.id), "status")  # type: ignore[misc]
    return str(found.decode())


async def until(redis: Redis, worker: FakeWorker, field: str) -> None:
    """Wait until a turn's record has a field."""
    assert worker.claimed is not None
    async with asyncio.timeout(WAIT_SECONDS):
        while not await redis.hexists(keys.turn(worker.claimed.id), field):  # type: ignore[misc]
            await asyncio.sleep(0.02)


async def test_the_answers_of_a_stream_come_mixed_each_with_its_index(
    http: httpx2.AsyncClient, worker: FakeWorker
) -> None:
    worker.heartbeat()
    async with http.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as answer:
        one, two = await claimed(worker)
        for who, text in ((one, "a"), (two, "b"), (one, "c"), (two, "d")):
            who.say(text)
        two.end("incomplete")
        one.end()
        lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]

    assert lines.pop() == "data: [DONE]"
    choices = [json.loads(line[6:])["choices"][0] for line in lines]
    said = ["", ""]
    for choice in choices:
        said[choice["index"]] += choice["delta"].get("content", "")
    assert said == ["ac", "bd"]
    assert {c["index"]: c["finish_reason"] for c in choices if c["finish_reason"]} == {
        0: "stop",
        1: "length",
    }
    assert one.claimed is not None
    assert two.claimed is not None
    seeds = [who.claimed.request.sampling.seed for who in (one, two) if who.claimed]
    assert seeds == [7, 8]


async def test_a_client_that_leaves_abandons_every_answer(
    http: httpx2.AsyncClient, worker: FakeWorker, redis: Redis
) -> None:
    worker.heartbeat()
    async with http.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as answer:
        await anext(answer.aiter_lines())
        one, two = await claimed(worker)

    await until(redis, one, "cancel_requested")
    await until(redis, two, "cancel_requested")


async def test_cancelling_one_answer_cancels_the_others(
    http: httpx2.AsyncClient, worker: FakeWorker, redis: Redis
) -> None:
    worker.heartbeat()
    asking = asyncio.create_task(http.post("/v1/chat/completions", json=BODY))
    one, two = await claimed(worker)
    two.say("b")
    two.end("cancelled")

    await until(redis, one, "cancel_requested")
    one.end("cancelled")
    answer = (await asking).json()
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["", "b"]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_refused_refuses_the_request_and_cancels_the_others(
    http: httpx2.AsyncClient, worker: FakeWorker, redis: Redis, stream: bool
) -> None:
    worker.heartbeat()
    asking = asyncio.create_task(
        http.post("/v1/chat/completions", json=BODY | {"stream": stream, "store": True})
    )
    one, two = await claimed(worker)
    one.say("a")
    two.refuse()

    await until(redis, one, "cancel_requested")
    answer = await asking
    assert '"param":"messages"' in answer.text
    assert "[DONE]" not in answer.text
    assert stream or answer.status_code == 400


async def test_a_request_without_room_for_all_its_answers_makes_no_turn(
    redis_url: str, redis: Redis, worker: FakeWorker, tmp_path: Path
) -> None:
    worker.heartbeat()
    with serving(redis_url, tmp_path, TURNSTREAM_LIMITS="in_flight=2") as url:
        async with httpx2.AsyncClient(base_url=url, timeout=WAIT_SECONDS) as http:
            refused = await http.post("/v1/chat/completions", json=BODY | {"n": 3})
            assert refused.status_code == 429
            assert [key async for key in redis.scan_iter("ts:turn:*")] == []
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=BODY))
            for who in await claimed(worker):
                who.end()
            assert (await asking).status_code == 200
