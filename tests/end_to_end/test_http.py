"""The HTTP side: background, cancel, clients that disconnect, and response headers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import Model
from openai.types.responses import Response
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from harness.service import Service

WAIT_SECONDS = 60
#: Repeats itself (a negative penalty), so that it does not end before its limit.
STORY: dict[str, Any] = {
    "input": "Write a long story.",
    "temperature": 0,
    "extra_body": {"frequency_penalty": -2},
}
RUNNING = ("queued", "in_progress")


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def ended(http: httpx2.AsyncClient, response_id: str) -> dict[str, Any]:
    """Wait until a response has ended, by polling as clients do."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            body: dict[str, Any] = (await http.get(f"/v1/responses/{response_id}")).json()
            if body["status"] not in RUNNING:
                return body
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("store", [True, False])
async def test_a_background_turn_is_returned_at_once_and_answered_without_a_reader(
    client: AsyncOpenAI, http: httpx2.AsyncClient, store: bool
) -> None:
    made = await client.responses.create(
        model="demo", input="Hello", background=True, store=store, temperature=0
    )

    assert (made.status, made.background, made.output) == ("queued", True, [])
    body = await ended(http, made.id)
    assert (body["status"], body["background"], body["store"]) == ("completed", True, store)
    assert Response.model_validate(body, strict=True).output_text


async def test_a_dropped_background_stream_is_resumed_by_number(
    client: AsyncOpenAI,
) -> None:
    stream = await client.responses.create(
        model="demo", background=True, stream=True, max_output_tokens=40, store=False, **STORY
    )
    head = []
    async for event in stream:
        head.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    response_id = head[0].response.id  # type: ignore[union-attr]
    last = head[-1].sequence_number  # type: ignore[union-attr]

    again = await client.responses.retrieve(response_id, stream=True, starting_after=last)
    rest = [event async for event in again]

    numbers = [event.sequence_number for event in (*head, *rest)]  # type: ignore[union-attr]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type in ("response.incomplete", "response.completed")


async def test_a_flex_turn_is_answered(client: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    made = await client.responses.create(
        model="demo",
        input="Hello",
        background=True,
        background_options={"completion_window": "8h", "continuation_id": "mine"},
    )

    assert (await ended(http, made.id))["status"] == "completed"


async def test_cancel_is_final_and_a_repeated_cancel_returns_the_same(
    client: AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    made = await client.responses.create(model="demo", background=True, **STORY)

    first = await client.responses.cancel(made.id)
    second = await client.responses.cancel(made.id)

    assert first.status == "cancelled"
    assert second == first
    assert Response.model_validate(await ended(http, made.id), strict=True).status == "cancelled"


async def test_a_completed_response_cannot_be_cancelled(client: AsyncOpenAI) -> None:
    done = await client.responses.create(model="demo", input="Hello")

    with pytest.raises(BadRequestError, match="has ended already"):
        await client.responses.cancel(done.id)


async def test_every_answer_has_a_request_id_and_each_its_own(
    http: httpx2.AsyncClient, service: Service, client: AsyncOpenAI
) -> None:
    paths = ("/healthz", "/v1/models", "/v1/responses/nobody", "/nowhere", "/")
    ids = [(await http.get(path)).headers["x-request-id"] for path in paths]
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        assert socket.response is not None
        ids.append(socket.response.headers["x-request-id"])
    models = await client.models.list()

    assert all(id.startswith("req_") for id in ids)
    assert len(set(ids)) == len(ids)
    assert models._request_id


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/v1/responses", 405, "method_not_allowed"),
        ("PUT", "/v1/chat/completions", 405, "method_not_allowed"),
        ("GET", "/v1/models/gpt-9", 404, "model_not_found"),
        ("GET", "/v1/models/meta-llama/none", 404, "model_not_found"),
    ],
)
async def test_an_unknown_path_is_a_json_error_without_a_retry(
    http: httpx2.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await http.request(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-should-retry"] == "false"


async def test_a_handshake_at_another_path_is_refused_with_a_status_and_a_body(
    service: Service,
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(service.url.replace("http", "ws", 1) + "/v1/realtime"):
            pass

    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "not_found"
    assert refused.value.response.headers["x-request-id"]


async def test_one_model_can_be_retrieved(client: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    found = await client.models.retrieve("demo")

    assert found.id == "demo"
    Model.model_validate((await http.get("/v1/models/demo")).json(), strict=True)
    with pytest.raises(NotFoundError):
        await client.models.retrieve("gpt-9")


async def test_a_stream_ends_with_done(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/responses", json={"input": "Hello", "stream": True})

    assert answer.text.endswith("\n\ndata: [DONE]\n\n")
    assert answer.text.count("[DONE]") == 1


async def test_a_completion_is_retrieved_by_its_own_id_too(
    client: AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    chat = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hello"}]
    )

    kept = (await http.get(f"/v1/responses/{chat.id}")).json()

    assert kept["output"][0]["content"][0]["text"] == chat.choices[0].message.content


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/responses", "POST"),
        ("/v1/responses/compact", "POST"),
        ("/v1/responses/x", "DELETE, GET, HEAD"),
    ],
)
async def test_an_unsupported_method_is_refused_with_the_supported_ones(
    http: httpx2.AsyncClient, path: str, allowed: str
) -> None:
    answer = await http.put(path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
