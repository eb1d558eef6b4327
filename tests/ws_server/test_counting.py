"""Counting without a worker that could: it is said at once, and that asking again may help."""

import httpx2
import pytest

from tests.ws_server.clerk import Clerk


@pytest.mark.parametrize("path", ["input_tokens", "compact"])
async def test_without_a_worker_the_answer_is_that_nobody_can_count(
    node: str, clerk: Clerk, path: str
) -> None:
    async with httpx2.AsyncClient(base_url=node, timeout=20) as http:
        answer = await http.post(f"/v1/responses/{path}", json={"model": "tiny", "input": "Hi"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert answer.headers["x-should-retry"] == "true"
    assert answer.headers["retry-after"] == "1"
