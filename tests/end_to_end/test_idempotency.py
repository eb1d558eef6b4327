"""One idempotency key is one turn, over HTTP and on sockets."""

from uuid import uuid4

import httpx2
from websockets.asyncio.client import connect

from harness.service import Service
from tests.end_to_end.story import ask, read, socket_url


async def test_one_key_is_one_turn_on_the_socket_and_over_http(
    service: Service, http: httpx2.AsyncClient
) -> None:
    key, body = str(uuid4()), {"input": "Hello", "max_output_tokens": 8}

    async with connect(socket_url(service.url)) as socket:
        await ask(socket, **body, idempotency_key=key)
        first = await read(socket)
        await ask(socket, **body, idempotency_key=key)
        second = await read(socket)
    third = await http.post("/v1/responses", json=body, headers={"Idempotency-Key": key})

    assert second == first
    assert third.json() == first[-1]["response"]


async def test_a_key_that_was_used_for_another_request_is_refused(
    service: Service, http: httpx2.AsyncClient
) -> None:
    key, body = str(uuid4()), {"input": "Hello", "max_output_tokens": 8}
    headers = {"Idempotency-Key": key}
    await http.post("/v1/responses", json=body, headers=headers)

    other = await http.post("/v1/responses", json=body | {"input": "Bye"}, headers=headers)
    async with connect(socket_url(service.url)) as socket:
        await ask(socket, **body | {"input": "Bye"}, idempotency_key=key)
        [refusal] = await read(socket)

    assert (other.status_code, refusal["status"]) == (400, 400)
    assert other.json()["error"] == refusal["error"]
    assert refusal["error"]["code"] == "idempotency_key_reused"
