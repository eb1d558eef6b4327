"""Chat completions are answered by the same turns as responses."""

import json

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from harness.service import Service

QUESTION = [{"role": "user", "content": "Do you know the movie Titanic?"}]


@pytest.fixture
def client(service: Service) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0)


async def test_a_completion_is_whole_and_a_stream_of_it_adds_up(client: AsyncOpenAI) -> None:
    async with client:
        whole = await client.chat.completions.create(
            model="demo",
            messages=QUESTION,  # type: ignore[arg-type]
        )
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="demo",
                messages=QUESTION,  # type: ignore[arg-type]
                stream=True,
                stream_options={"include_usage": True},
            )
        ]

    text = whole.choices[0].message.content
    assert text
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens > 0
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    # The same prompt was read a moment ago.
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_stop_string_ends_the_answer_before_itself(client: AsyncOpenAI) -> None:
    async with client:
        whole = await client.chat.completions.create(
            model="demo",
            messages=QUESTION,  # type: ignore[arg-type]
        )
        text = whole.choices[0].message.content or ""
        stop = text[10:14]
        cut = await client.chat.completions.create(
            model="demo",
            messages=QUESTION,  # type: ignore[arg-type]
            stop=stop,
        )

    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


async def test_penalties_change_an_answer_and_a_bad_one_is_named(client: AsyncOpenAI) -> None:
    async with client:
        plain, penalised, likeliest = [
            await client.responses.create(
                model="demo",
                input=QUESTION,  # type: ignore[arg-type]
                temperature=2,
                max_output_tokens=30,
                extra_body={"seed": 3, **fields},
            )
            for fields in ({}, {"frequency_penalty": 2, "repetition_penalty": 5}, {"top_k": 1})
        ]
        greedy = await client.responses.create(
            model="demo",
            input=QUESTION,  # type: ignore[arg-type]
            temperature=0,
            max_output_tokens=30,
        )
        with pytest.raises(BadRequestError, match="'presence_penalty' must be at most 2"):
            await client.chat.completions.create(
                model="demo",
                messages=QUESTION,  # type: ignore[arg-type]
                presence_penalty=3,
            )

    assert len({plain.output_text, penalised.output_text, likeliest.output_text}) == 3
    assert likeliest.output_text == greedy.output_text
    assert (plain.frequency_penalty, penalised.frequency_penalty) == (0, 2)  # type: ignore[attr-defined]


async def test_an_answer_cut_at_the_limit_has_finish_reason_length(client: AsyncOpenAI) -> None:
    async with client:
        cut = await client.chat.completions.create(
            model="demo",
            messages=QUESTION,  # type: ignore[arg-type]
            max_tokens=2,
        )

    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 2


async def test_a_completion_can_be_looked_up_as_a_response(
    client: AsyncOpenAI, service: Service
) -> None:
    async with client:
        whole = await client.chat.completions.create(
            model="demo",
            messages=QUESTION,  # type: ignore[arg-type]
        )
        kept = await client.responses.retrieve(whole.id.replace("chatcmpl-", "resp_"))

    assert kept.output_text == whole.choices[0].message.content


@pytest.mark.parametrize("stream", [True, False])
async def test_an_unsupported_request_is_refused_with_a_status(
    client: AsyncOpenAI, stream: bool
) -> None:
    async with client:
        with pytest.raises(BadRequestError, match="'n' must be at most 8"):
            await client.chat.completions.create(
                model="demo",
                messages=QUESTION,  # type: ignore[arg-type]
                n=9,
                stream=stream,
            )


async def test_a_prompt_that_the_worker_finds_too_long_is_an_error_in_the_stream(
    service: Service,
) -> None:
    body = {
        "messages": [{"role": "user", "content": "many words " * 9_000}],
        "stream": True,
    }
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as plain:
        answer = await plain.post("/v1/chat/completions", json=body)

    assert "context_length_exceeded" in answer.text
    assert '"param":"messages"' in answer.text
    assert "[DONE]" not in answer.text


async def test_everything_sent_is_valid_for_the_official_sdk(
    service: Service,
) -> None:
    body = {"messages": QUESTION, "max_tokens": 5}
    async with httpx2.AsyncClient(base_url=service.url, timeout=30) as plain:
        whole = (await plain.post("/v1/chat/completions", json=body)).json()
        options = {"stream": True, "stream_options": {"include_usage": True}}
        stream = (await plain.post("/v1/chat/completions", json=body | options)).text

    ChatCompletion.model_validate(whole, strict=True)
    lines = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    for line in lines:
        ChatCompletionChunk.model_validate(json.loads(line), strict=True)
