"""No known field is silently without effect: over HTTP, with small requests that showed it."""

from typing import Any

import httpx2
import pytest

from harness.service import Service

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"input": "Hi"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("body", "param", "right"),
    [
        (CHAT | {"function_call": {"name": "f"}}, "tool_choice", "tools"),
        (CHAT | {"modalities": ["audio"]}, "modalities[0]", "text"),
        (CHAT | {"best_of": 3}, "best_of", "/v1/completions"),
        (CHAT | {"max_output_tokens": 4}, "max_output_tokens", "max_completion_tokens"),
        (RESPONSE | {"max_tokens": 4}, "max_tokens", "max_output_tokens"),
        (RESPONSE | {"response_format": SCHEMA}, "response_format", "text.format"),
        (RESPONSE | {"stop": ["I"]}, "stop", "/v1/chat/completions"),
        (RESPONSE | {"include": ["bogus"]}, "include[0]", "message.output_text.logprobs"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_be_honoured_is_named(
    service: Service, body: dict[str, Any], param: str, right: str, stream: bool
) -> None:
    path = "/v1/chat/completions" if "messages" in body else "/v1/responses"
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        answer = await http.post(path, json=body | {"stream": stream})

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert right in error["message"]


@pytest.mark.parametrize("most", [1_000_000, 100_000_000, 2**63 - 1])
async def test_a_limit_beyond_the_context_is_as_many_tokens_as_fit(
    service: Service, most: int
) -> None:
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        response = await http.post("/v1/responses", json=RESPONSE | {"max_output_tokens": most})
        completion = await http.post("/v1/chat/completions", json=CHAT | {"max_tokens": most})

    assert response.json()["status"] == "completed"
    assert response.json()["max_output_tokens"] == most
    assert completion.json()["choices"][0]["finish_reason"] == "stop"


async def test_what_a_completion_does_not_repeat_is_in_its_record(service: Service) -> None:
    tool = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": None}
    body = CHAT | {
        "max_tokens": -1,
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": "auto",
        "reasoning_effort": "low",
        "verbosity": "low",
        "user": "u",
        "metadata": {"a": "b"},
    }
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
        completion = (await http.post("/v1/chat/completions", json=body)).json()
        id = completion["id"].replace("chatcmpl-", "resp_")
        record = (await http.get(f"/v1/responses/{id}")).json()

    assert completion["metadata"] == {"a": "b"}
    assert record["tools"] == [{"type": "function", **tool}]
    assert record["reasoning"] == {"effort": "low", "summary": None}
    assert (record["user"], record["text"]["verbosity"]) == ("u", "low")
    assert record["max_output_tokens"] is None
