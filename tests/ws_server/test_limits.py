"""How a node refuses, over HTTP and on a socket, what exceeds a limit."""

import json
from collections.abc import Iterator

import httpx2
import pytest
import redis.asyncio
from websockets.asyncio.client import connect

from tests.ws_server.conftest import serving

QUESTION = {"input": "Hello"}
LIMITS = "local:tiers=default+flex requests_per_minute=1"


@pytest.fixture(scope="module")
def limited_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("limited")
    with serving(redis_url, directory, TURNSTREAM_LIMITS=LIMITS) as url:
        yield url


async def test_over_http_it_is_429_with_the_time_to_wait(
    limited_node: str, redis: "redis.asyncio.Redis"
) -> None:
    async with httpx2.AsyncClient(base_url=limited_node, timeout=30) as client:
        taken = {**QUESTION, "background": True}
        assert (await client.post("/v1/responses", json=taken)).status_code == 200
        chat = {"messages": [{"role": "user", "content": "Hello"}]}
        for path, body in (("responses", QUESTION), ("chat/completions", chat)):
            refused = await client.post(f"/v1/{path}", json=body)

            assert refused.status_code == 429
            assert 30 <= int(refused.headers["retry-after"]) <= 60
            assert refused.headers["x-should-retry"] == "true"
            error = refused.json()["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")


async def test_on_the_socket_it_is_an_error_with_the_time_to_wait_and_the_socket_stays_open(
    limited_node: str, redis: "redis.asyncio.Redis"
) -> None:
    url = limited_node.replace("http", "ws", 1) + "/v1/responses"
    async with connect(url) as socket:
        ask = {"type": "response.create", **QUESTION}
        await socket.send(json.dumps(ask | {"stream_id": "one"}))
        assert json.loads(await socket.recv())["type"] == "response.created"
        assert json.loads(await socket.recv())["type"] == "response.queued"
        await socket.send(json.dumps(ask | {"stream_id": "two"}))
        refused = json.loads(await socket.recv())
        await socket.send(json.dumps(ask | {"service_tier": "priority", "stream_id": "two"}))
        not_allowed = json.loads(await socket.recv())

    assert (refused["status"], refused["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 30 <= int(refused["headers"]["retry-after"]) <= 60
    assert (not_allowed["status"], not_allowed["error"]["param"]) == (403, "service_tier")
    assert "headers" not in not_allowed


async def test_a_key_without_the_batch_tier_cannot_create_batches(limited_node: str) -> None:
    async with httpx2.AsyncClient(base_url=limited_node, timeout=30) as client:
        refused = await client.post("/v1/batches", json={})

    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "service_tier_not_allowed"
