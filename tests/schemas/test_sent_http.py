"""What is really sent over HTTP is as published and as the official SDK has it.

Nothing here is made up: every body and event comes from turns of the running service.
"""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from openai.types import Model, webhooks
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import (
    CompactedResponse,
    InputTokenCountResponse,
    Response,
    ResponseItem,
)
from pydantic import TypeAdapter

from harness.service import Service
from tests.schemas.published import LONG, OPENAPI, name_of, wrong

WAIT_SECONDS = 60
MESSAGES = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=service.url, timeout=WAIT_SECONDS) as client:
        yield client


async def test_responses_over_http_are_as_published(http: httpx2.AsyncClient) -> None:
    whole = (await http.post("/v1/responses", json={"input": "Hello"})).json()
    path = f"/v1/responses/{whole['id']}"
    waiting = (await http.post("/v1/responses", json=LONG | {"background": True})).json()
    seen = [
        whole,
        waiting,
        (await http.get(path)).json(),
        (await http.get(f"/v1/responses/{waiting['id']}")).json(),
        (await http.post(f"/v1/responses/{waiting['id']}/cancel")).json(),
    ]
    items = (await http.get(f"{path}/input_items")).json()
    deleted = (await http.delete(path)).json()

    for response in seen:
        assert wrong(OPENAPI, "Response", response) is None
        Response.model_validate(response, strict=True)
    assert wrong(OPENAPI, "InputItemList", items) is None
    for item in items["data"]:
        TypeAdapter(ResponseItem).validate_python(item, strict=True)
    assert wrong(OPENAPI, "Deleted", deleted) is None


async def test_input_items_of_each_role_are_as_published(http: httpx2.AsyncClient) -> None:
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]
    asked = {"input": [{"role": role, "content": text} for role, text in said]}
    made = (await http.post("/v1/responses", json=asked | {"max_output_tokens": 1})).json()

    items = (await http.get(f"/v1/responses/{made['id']}/input_items?order=asc&limit=3")).json()

    assert wrong(OPENAPI, "InputItemList", items) is None
    assert [item["role"] for item in items["data"]] == ["system", "user", "assistant"]


async def test_counts_and_compactions_are_as_published(http: httpx2.AsyncClient) -> None:
    asked = {"model": "demo", "input": "Hello"}
    counted = (await http.post("/v1/responses/input_tokens", json=asked)).json()
    compacted = (await http.post("/v1/responses/compact", json=asked)).json()

    assert wrong(OPENAPI, "InputTokens", counted) is None
    InputTokenCountResponse.model_validate(counted, strict=True)
    assert wrong(OPENAPI, "Compaction", compacted) is None
    CompactedResponse.model_validate(compacted, strict=True)


async def test_events_over_http_are_as_published(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/responses", json={"input": "Hello", "stream": True})
    events = [json.loads(data) for data in data_of(answer.text) if data != "[DONE]"]

    assert events[-1]["type"] == "response.completed"
    for event in events:
        assert wrong(OPENAPI, name_of(event), event) is None


async def test_completions_are_as_published_and_as_the_official_sdk_has_them(
    http: httpx2.AsyncClient,
) -> None:
    whole = (await http.post("/v1/chat/completions", json=MESSAGES)).json()
    assert wrong(OPENAPI, "Completion", whole) is None
    ChatCompletion.model_validate(whole, strict=True)

    for options in ({}, {"stream_options": {"include_usage": True}}):
        asked = MESSAGES | {"stream": True} | options
        answer = await http.post("/v1/chat/completions", json=asked)
        chunks = [json.loads(data) for data in data_of(answer.text) if data != "[DONE]"]
        assert len(chunks) > 2
        for chunk in chunks:
            assert wrong(OPENAPI, "Chunk", chunk) is None
            ChatCompletionChunk.model_validate(chunk, strict=True)


async def test_models_are_as_published_and_as_the_official_sdk_has_them(
    http: httpx2.AsyncClient,
) -> None:
    models = (await http.get("/v1/models")).json()
    one = (await http.get("/v1/models/demo")).json()

    assert wrong(OPENAPI, "ModelList", models) is None
    assert wrong(OPENAPI, "Model", one) is None
    Model.model_validate(one, strict=True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/responses", "{"),
        ("POST", "/v1/responses", json.dumps({"input": "many words " * 9_000})),
        ("POST", "/v1/responses", json.dumps({"input": "Hi", "model": "nobody's"})),
        ("POST", "/v1/chat/completions", "{}"),
        ("GET", "/v1/responses/x", ""),
        ("GET", "/v1/nothing", ""),
        ("PUT", "/v1/responses", ""),
        ("GET", "/v1/models/nobody's", ""),
    ],
)
async def test_errors_are_as_published(
    http: httpx2.AsyncClient, method: str, path: str, body: str
) -> None:
    answer = await http.request(method, path, content=body)

    assert answer.status_code >= 400
    assert wrong(OPENAPI, "ErrorBody", answer.json()) is None


async def test_the_document_is_served(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == OPENAPI


def data_of(stream: str) -> list[str]:
    return [line[6:] for line in stream.splitlines() if line.startswith("data: ")]


async def test_webhook_endpoints_are_as_published(http: httpx2.AsyncClient) -> None:
    path = "/v1/webhook_endpoints"
    asked = {"name": "x", "url": "https://hook.invalid/", "event_types": ["batch.failed"]}
    made = (await http.post(path, json=asked)).json()
    one = f"{path}/{made['id']}"
    changed = (await http.post(one, json={"name": "y"})).json()
    listed = (await http.get(path)).json()
    rotated = (await http.post(f"{one}/rotate_secret", json={})).json()
    test = await http.post(f"{one}/test", json={"event_type": "batch.failed"})
    types = (await http.get("/v1/webhook_event_types")).json()
    deleted = (await http.delete(one)).json()

    for body, name, model in (
        (made, "WebhookEndpointWithSecret", webhooks.WebhookEndpointWithSecret),
        (rotated, "WebhookEndpointWithSecret", webhooks.WebhookEndpointWithSecret),
        (changed, "WebhookEndpoint", webhooks.WebhookEndpoint),
        (listed, "WebhookEndpointList", webhooks.WebhookEndpointList),
        (types, "WebhookEventTypeList", webhooks.WebhookEventTypeList),
        (deleted, "WebhookEndpointDeleted", webhooks.DeletedWebhookEndpoint),
    ):
        assert wrong(OPENAPI, name, body) is None
        model.model_validate(body, strict=True)
    assert test.json()["error"]["code"] == "webhook_endpoint_unreachable"
