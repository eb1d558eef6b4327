"""Counting tokens without a live worker is refused at once, with an error that asks to retry."""

import httpx2
import pytest
from openai import AsyncOpenAI, InternalServerError, NotFoundError

from tests.ws_server.fake_worker import FakeWorker


@pytest.mark.parametrize("path", ["input_tokens", "compact"])
async def test_without_a_worker_a_count_is_an_overloaded_error(
    node: str, worker: FakeWorker, path: str
) -> None:
    async with httpx2.AsyncClient(base_url=node, timeout=20) as http:
        answer = await http.post(f"/v1/responses/{path}", json={"model": "tiny", "input": "Hi"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers["retry-after"] == "1"


async def test_the_official_sdk_retries_only_when_the_response_allows_it(
    node: str, worker: FakeWorker
) -> None:
    asked: list[str] = []

    async def note(request: httpx2.Request) -> None:
        asked.append(request.url.path)

    http = httpx2.AsyncClient(timeout=30, event_hooks={"request": [note]})
    base = f"{node}/v1"
    async with AsyncOpenAI(base_url=base, api_key="any", max_retries=1, http_client=http) as client:
        with pytest.raises(InternalServerError) as refused:
            await client.responses.input_tokens.count(model="tiny", input="Hi")
        with pytest.raises(NotFoundError):
            await client.models.retrieve("nobody")

    assert refused.value.request_id
    assert asked == [*["/v1/responses/input_tokens"] * 2, "/v1/models/nobody"]
