"""What tests of conversations do by the official SDK, while they play the worker."""

import asyncio
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.conversations import ConversationItem

from tests.ws_server.fake_worker import FakeWorker


def sdk_at(node: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{node}/v1", api_key="any", max_retries=0)


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def text_of(item: ConversationItem) -> str:
    assert item.type == "message"
    return "".join(part.text for part in item.content)  # type: ignore[union-attr]


async def texts(client: AsyncOpenAI, id: str, **query: Any) -> list[str]:
    """Read a conversation by the SDK's pages, two items in each."""
    listed = client.conversations.items.list(id, limit=2, **({"order": "asc"} | query))
    return [text_of(item) async for item in listed]


async def answered(
    client: AsyncOpenAI, worker: FakeWorker, id: str, text: Any, **fields: Any
) -> Any:
    """Have a turn of a conversation answered by hand with the same text and a full stop."""
    asking = asyncio.create_task(client.responses.create(input=text, conversation=id, **fields))
    await worker.claim()
    worker.say(f"{text}.")
    worker.end()
    return await asking


async def code_of_refusal(request: Any) -> tuple[int, str | None, str | None]:
    with pytest.raises(APIStatusError) as refused:
        await request
    return refused.value.status_code, refused.value.code, refused.value.param
