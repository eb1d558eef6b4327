"""Counting tokens and compacting a conversation, with the official SDK and the real tokenizer."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.responses import CompactedResponse, InputTokenCountResponse

from harness.service import Service

FOREIGN = "resp_" + 32 * "f"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def test_a_count_equals_the_usage_of_the_turn(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="demo", input="Hello")
    asked: dict[str, Any] = {
        "model": "demo",
        "input": "Do you know the movie Titanic?",
        "instructions": "Be brief.",
        "previous_response_id": first.id,
    }

    count = await client.responses.input_tokens.count(**asked)
    answered = await client.responses.create(**asked, max_output_tokens=1)

    assert answered.usage is not None
    assert count.input_tokens == answered.usage.input_tokens


async def test_a_prompt_that_is_too_long_to_answer_is_still_counted(
    http: httpx2.AsyncClient,
) -> None:
    body = {"input": "many words " * 9_000}

    counted = (await http.post("/v1/responses/input_tokens", json=body)).json()
    cut = (await http.post("/v1/responses", json=body)).json()

    InputTokenCountResponse.model_validate(counted, strict=True)
    assert f"The prompt has {counted['input_tokens']} tokens" in cut["error"]["message"]


async def test_a_compacted_conversation_can_be_continued(client: AsyncOpenAI) -> None:
    said = [
        {"role": "user", "content": "Do you know the movie Titanic?"},
        {"role": "assistant", "content": "Yes, I do. It is a film of 1997."},
    ]
    question = {"role": "user", "content": "Who is the director of the movie?"}
    plain = await client.responses.create(
        model="demo",
        input=[*said, question],
        temperature=0,  # type: ignore[list-item]
    )

    compacted = await client.responses.compact(model="demo", input=said)  # type: ignore[arg-type]
    output = [item.model_dump(exclude_none=True) for item in compacted.output]
    after = await client.responses.create(
        model="demo",
        input=[*output, question],
        temperature=0,  # type: ignore[list-item]
    )

    CompactedResponse.model_validate(compacted.model_dump(), strict=True)
    assert [item.type for item in compacted.output] == ["compaction"]
    assert after.output_text == plain.output_text


async def test_a_stored_conversation_is_compacted_by_its_last_response(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="demo", input="Hello")
    compacted = await client.responses.compact(model="demo", previous_response_id=first.id)

    assert compacted.usage.input_tokens > (first.usage.input_tokens if first.usage else 0)
    again = await client.responses.compact(
        model="demo",
        input=[item.model_dump(exclude_none=True) for item in compacted.output],  # type: ignore[misc]
    )
    contents = [item.encrypted_content for item in (*compacted.output, *again.output)]  # type: ignore[union-attr]
    assert contents[0] == contents[1]


async def test_compaction_drops_the_oldest_turns_until_there_is_room(client: AsyncOpenAI) -> None:
    said = []
    for number in range(60):
        said.append({"role": "user", "content": f"Number {number}? " + "many words " * 20})
        said.append({"role": "assistant", "content": f"Yes, {number}."})
    question = {"role": "user", "content": "Hello"}
    with pytest.raises(BadRequestError, match="The prompt has"):
        await client.responses.create(model="demo", input=[*said, question])  # type: ignore[list-item]

    compacted = await client.responses.compact(model="demo", input=said)  # type: ignore[arg-type]
    output = [item.model_dump(exclude_none=True) for item in compacted.output]
    answered = await client.responses.create(model="demo", input=[*output, question])  # type: ignore[list-item]

    assert answered.usage is not None
    assert 0 < answered.usage.input_tokens < compacted.usage.input_tokens / 2


async def test_a_conversation_that_cannot_be_compacted_is_refused(
    client: AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    answer = await http.post("/v1/responses/compact", json={"input": "Hello"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    with pytest.raises(BadRequestError, match="'input' is missing"):
        await client.responses.compact(model="demo")
    with pytest.raises(NotFoundError, match="gpt-9"):
        await client.responses.compact(model="gpt-9", input="Hello")
    with pytest.raises(BadRequestError, match="not found"):
        await client.responses.compact(model="demo", previous_response_id=FOREIGN)
