"""What of a request about a conversation is refused, by the official SDK."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.ws_server.conversation_client import code_of_refusal, sdk_at, user
from tests.ws_server.fake_worker import FakeWorker

UNKNOWN = "conv_" + 32 * "0"


@pytest.fixture
async def client(node: str, worker: FakeWorker) -> AsyncIterator[AsyncOpenAI]:
    worker.heartbeat()
    async with sdk_at(node) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"conversation": UNKNOWN}, (404, "conversation_not_found", None)),
        ({"conversation": "../x"}, (404, "conversation_not_found", None)),
        ({"conversation": {"id": 5}}, (400, "invalid_value", "conversation.id")),
        ({"conversation": 5}, (400, "invalid_value", "conversation")),
        (
            {"conversation": UNKNOWN, "previous_response_id": "resp_" + 32 * "0"},
            (400, "mutually_exclusive_parameters", "conversation"),
        ),
    ],
)
async def test_what_is_no_conversation_is_refused_by_name(
    client: AsyncOpenAI, asked: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    assert await code_of_refusal(client.responses.create(input="One", **asked)) == refusal


async def test_wrong_items_and_pages_are_refused_by_name(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    listed, added = client.conversations.items.list, client.conversations.items.create

    async def refused(request: Any) -> Any:
        return (await code_of_refusal(request))[1:]

    assert await refused(added(made.id, items=[])) == ("invalid_value", "items")
    assert await refused(added(made.id, items=21 * [user("One")])) == ("invalid_value", "items")
    assert await refused(added(UNKNOWN, items=[user("One")])) == ("conversation_not_found", None)
    assert await refused(listed(made.id, after="msg_x")) == ("invalid_value", "after")
    assert await refused(listed(made.id, limit=0)) == ("invalid_value", "limit")
    assert await refused(client.conversations.update(made.id, metadata=5)) == (  # type: ignore[arg-type]
        "invalid_value",
        "metadata",
    )
    nothing = client.post(f"/conversations/{made.id}", cast_to=object, body={})
    assert await refused(nothing) == ("missing_required_parameter", "metadata")
