"""Batches as the official SDK makes them: a file goes up, a batch runs, files come down."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from harness.service import Service

#: A batch that takes longer hangs.
TIMEOUT_SECONDS = 90.0
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")

Line = dict[str, Any]


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def line(custom_id: str, url: str = RESPONSES, **body: Any) -> Line:
    asked = {"model": "demo", "max_output_tokens": 8} | body
    if url == CHAT:
        asked = {"model": "demo", "max_tokens": 8} | body
        asked.setdefault("messages", [{"role": "user", "content": f"Hello {custom_id}"}])
    else:
        asked.setdefault("input", f"Hello {custom_id}")
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": asked}


def jsonl(lines: list[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def made(client: AsyncOpenAI, content: bytes, endpoint: str = RESPONSES, **more: Any) -> Any:
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    more.setdefault("completion_window", "24h")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, **more)  # type: ignore[arg-type]


async def over(client: AsyncOpenAI, id: str) -> Any:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while (batch := await client.batches.retrieve(id)).status not in OVER:
            await asyncio.sleep(0.1)
    return batch


async def content(client: AsyncOpenAI, file_id: str | None) -> list[Line]:
    assert file_id is not None
    text = (await client.files.content(file_id)).text
    return [json.loads(line) for line in text.splitlines()]


async def test_a_batch_of_responses_answers_each_line_once(client: AsyncOpenAI) -> None:
    lines = [line(f"r{i}") for i in range(40)]

    batch = await over(client, (await made(client, jsonl(lines), metadata={"who": "me"})).id)
    results = await content(client, batch.output_file_id)

    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed) == (40, 40)
    assert batch.error_file_id is None
    assert batch.metadata == {"who": "me"}
    assert batch.model == "demo"
    assert batch.usage.output_tokens == sum(
        r["response"]["body"]["usage"]["output_tokens"] for r in results
    )
    assert Counter(r["custom_id"] for r in results) == Counter(r["custom_id"] for r in lines)
    assert {r["response"]["status_code"] for r in results} == {200}
    response = openai.types.responses.Response.model_validate(results[0]["response"]["body"])
    assert response.output_text


async def test_a_batch_lines_answer_equals_the_endpoints(
    client: AsyncOpenAI,
) -> None:
    messages = [{"role": "user", "content": "Do you know the movie Titanic?"}]
    lines = [line("a", CHAT, messages=messages, temperature=0)]

    batch = await over(client, (await made(client, jsonl(lines), CHAT)).id)
    [result] = await content(client, batch.output_file_id)
    live = await client.chat.completions.create(
        model="demo",
        messages=messages,
        temperature=0,
        max_tokens=8,  # type: ignore[arg-type]
    )

    completion = openai.types.chat.ChatCompletion.model_validate(result["response"]["body"])
    assert completion.choices[0].message.content == live.choices[0].message.content
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == live.usage.completion_tokens  # type: ignore[union-attr]


async def test_a_bad_file_is_refused_line_by_line(client: AsyncOpenAI) -> None:
    good = line("ok")
    lines = [
        json.dumps(good).encode(),
        b"{not json",
        b"",
        json.dumps(line("ok")).encode(),
        json.dumps({**good, "custom_id": None}).encode(),
        json.dumps({**good, "custom_id": "url", "url": CHAT}).encode(),
        json.dumps({**good, "custom_id": "get", "method": "GET"}).encode(),
        json.dumps(line("stream", stream=True)).encode(),
        json.dumps(line("hot", temperature=3)).encode(),
        json.dumps(line("other", model="nobody")).encode(),
        json.dumps(line("warm", generate=False)).encode(),
    ]

    batch = await over(client, (await made(client, b"\n".join(lines))).id)

    assert batch.status == "failed"
    assert batch.failed_at
    assert [(e.line, e.code, e.param) for e in batch.errors.data] == [
        (2, "invalid_json", None),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "missing_required_parameter", "custom_id"),
        (6, "mismatched_url", "url"),
        (7, "invalid_method", "method"),
        (8, "unsupported_parameter", "body.stream"),
        (9, "invalid_value", "temperature"),
        (10, "model_not_found", "model"),
        (11, "unsupported_parameter", "body.generate"),
    ]
    assert batch.output_file_id is None


async def test_a_line_found_bad_only_at_the_worker_is_an_error_line(client: AsyncOpenAI) -> None:
    lines = [line("long", input="many words " * 9_000), line("fine")]

    batch = await over(client, (await made(client, jsonl(lines))).id)
    [error] = await content(client, batch.error_file_id)
    [good] = await content(client, batch.output_file_id)

    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    assert error["custom_id"] == "long"
    assert error["response"]["status_code"] == 400
    assert error["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert good["custom_id"] == "fine"


async def test_a_chat_line_has_one_answer_and_errors_in_the_words_of_its_endpoint(
    client: AsyncOpenAI,
) -> None:
    question = [{"role": "user", "content": "Hi"}]
    long = [{"role": "user", "content": "many words " * 9_000}]
    several = jsonl([line("two", CHAT, messages=question, n=2)])

    refused = await over(client, (await made(client, several, CHAT)).id)
    batch = await over(
        client, (await made(client, jsonl([line("long", CHAT, messages=long)]), CHAT)).id
    )
    [error] = await content(client, batch.error_file_id)

    assert [(e.code, e.param) for e in refused.errors.data] == [("unsupported_parameter", "body.n")]
    assert error["response"]["body"]["error"]["param"] == "messages"


async def test_a_cancelled_batch_keeps_what_is_finished_and_accounts_for_the_rest(
    client: AsyncOpenAI,
) -> None:
    lines = [line(f"c{i}", max_output_tokens=1500, temperature=2) for i in range(300)]
    batch = await made(client, jsonl(lines))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (await client.batches.retrieve(batch.id)).request_counts.completed:  # type: ignore[union-attr]
            await asyncio.sleep(0.1)

    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    batch = await over(client, batch.id)
    done = await content(client, batch.output_file_id)
    rest = await content(client, batch.error_file_id)

    assert batch.status == "cancelled"
    assert done
    assert {r["error"]["code"] for r in rest} == {"batch_cancelled"}
    assert Counter(r["custom_id"] for r in done + rest) == Counter(r["custom_id"] for r in lines)
    assert batch.request_counts.completed == len(done)
    assert batch.request_counts.failed == len(rest)


async def test_files_are_listed_read_and_deleted(client: AsyncOpenAI) -> None:
    text = jsonl([line("a")])
    file = await client.files.create(
        file=("mine.jsonl", text),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )

    assert (file.filename, file.bytes, file.purpose) == ("mine.jsonl", len(text), "batch")
    assert file.expires_at == file.created_at + 3600
    assert (await client.files.retrieve(file.id)) == file
    assert (await client.files.content(file.id)).content == text
    assert file.id in [f.id async for f in client.files.list(purpose="batch", limit=1)]
    assert (await client.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(file.id)
    with pytest.raises(openai.NotFoundError):
        await client.files.content(file.id)


async def test_batches_are_listed_newest_first_a_page_at_a_time(client: AsyncOpenAI) -> None:
    ids = [(await made(client, jsonl([line("a")]))).id for _ in range(3)]

    first = await client.batches.list(limit=2)
    listed = [batch.id async for batch in client.batches.list(limit=2)]

    assert first.has_more
    assert set(ids) <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"completion_window": "soon"}, "completion_window"),
        ({"completion_window": "8d"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
            "output_expires_after.seconds",
        ),
    ],
)
async def test_a_bad_field_is_refused_by_name(
    client: AsyncOpenAI, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await made(client, jsonl([line("a")]), **more)

    assert refused.value.param == param


async def test_an_endpoint_that_is_not_served_fails_the_batch(client: AsyncOpenAI) -> None:
    batch = await over(client, (await made(client, jsonl([line("a")]), "/v1/embeddings")).id)

    assert batch.status == "failed"
    assert [error.code for error in batch.errors.data] == ["invalid_endpoint"]


async def test_an_ended_batch_cannot_be_cancelled(client: AsyncOpenAI) -> None:
    batch = await over(client, (await made(client, jsonl([line("a")]))).id)

    with pytest.raises(openai.BadRequestError, match="can't be cancelled"):
        await client.batches.cancel(batch.id)


async def test_an_unknown_file_or_batch_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.batches.retrieve("batch_1")
    with pytest.raises(openai.NotFoundError):
        await client.batches.create(
            input_file_id="file-1", endpoint=RESPONSES, completion_window="24h"
        )
