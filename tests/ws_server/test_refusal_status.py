"""A stream's status line waits for the worker's word, but not for ever; the worker is played."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from tests.ws_server.fake_worker import FakeWorker
from turnstream.turns import keys

WAIT_SECONDS = 20
BOTH = [
    ("/v1/responses", {"input": "Hi"}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
]
Asked = tuple[str, dict[str, Any]]


async def asking(node: str, asked: Asked, **fields: object) -> httpx2.Response:
    path, body = asked
    async with httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS) as http:
        return await http.post(path, json={**body, "stream": True, **fields})


@pytest.mark.parametrize("asked", BOTH)
async def test_a_refusal_after_the_turn_was_claimed_is_a_status_and_no_stream(
    node: str, worker: FakeWorker, asked: Asked
) -> None:
    worker.heartbeat()
    answer = asyncio.ensure_future(asking(node, asked))
    # The claim writes `response.in_progress`; only then does a worker read the request.
    await worker.claim()
    worker.refuse()
    refused = await answer

    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["error"]["code"] == "context_length_exceeded"


async def test_a_completion_that_fails_before_its_first_word_has_the_status_of_one_without_a_stream(
    node: str, worker: FakeWorker
) -> None:
    worker.heartbeat()
    answer = asyncio.ensure_future(asking(node, BOTH[1]))
    await worker.claim()
    worker.end("failed", error='{"code":"server_error","message":"It broke."}')
    failed = await answer

    assert failed.status_code == 500
    assert failed.json()["error"]["message"] == "It broke."


@pytest.mark.parametrize("asked", BOTH)
async def test_a_turn_that_waits_starts_its_stream_within_a_second_with_its_place(
    node: str, redis: Redis, worker: FakeWorker, asked: Asked
) -> None:
    worker.heartbeat()
    path, body = asked
    async with (
        httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS) as http,
        asyncio.timeout(WAIT_SECONDS),
    ):
        begun = time.monotonic()
        async with http.stream("POST", path, json={**body, "stream": True}) as streaming:
            lines = streaming.aiter_lines()
            while "position" not in (line := await anext(lines)):
                pass
            waited = time.monotonic() - begun

            assert streaming.status_code == 200
            assert "1" in line
            assert 0.9 < waited < 10
            await worker.claim()
            worker.say("Hello")
            worker.end()
            rest = [line async for line in lines]
    assert any("Hello" in line for line in rest)


async def test_the_first_word_ends_the_wait_and_no_event_is_lost(
    node: str, worker: FakeWorker
) -> None:
    worker.heartbeat()
    answer = asyncio.ensure_future(asking(node, BOTH[0]))
    await worker.claim()
    worker.say("Hel", "lo")
    worker.end()
    whole = await answer

    events = [
        json.loads(line.removeprefix("data: "))
        for line in whole.text.splitlines()
        if line.startswith("data: {")
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    assert whole.text.endswith("data: [DONE]\n\n")


async def test_a_refused_response_that_is_read_again_is_a_stream_of_its_events(
    node: str, redis: Redis, worker: FakeWorker
) -> None:
    worker.heartbeat()
    answer = asyncio.ensure_future(asking(node, BOTH[0], idempotency_key="mine"))
    await worker.claim()
    worker.refuse()
    await answer
    id = await redis.hget(keys.idempotency("local", "mine"), "id")  # type: ignore[misc]
    assert isinstance(id, bytes)
    async with httpx2.AsyncClient(base_url=node, timeout=WAIT_SECONDS) as http:
        again = await http.get(f"/v1/responses/{id.decode()}", params={"stream": "true"})

    assert again.status_code == 200
    assert "event: error" in again.text
