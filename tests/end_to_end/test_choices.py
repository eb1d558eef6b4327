"""One chat completion request with several answers, each a turn of its own."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.chat import ChatCompletion

from harness.service import Service

#: The demo model is sure of no answer to this.
ASKED: dict[str, Any] = {
    "model": "demo",
    "messages": [{"role": "user", "content": "Say anything."}],
    "temperature": 2,
    "top_p": 1,
    "max_tokens": 24,
}
LAST_SEED = 2**63 - 1


@pytest.fixture
def client(service: Service) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0)


async def ask(client: AsyncOpenAI, **fields: Any) -> ChatCompletion:
    answer = await client.chat.completions.create(**ASKED | fields)
    assert isinstance(answer, ChatCompletion)
    return answer


def texts(answer: ChatCompletion) -> list[str | None]:
    assert [choice.index for choice in answer.choices] == list(range(len(answer.choices)))
    return [choice.message.content for choice in answer.choices]


def usage(answer: ChatCompletion) -> tuple[int, int, int]:
    used = answer.usage
    assert used is not None
    return used.prompt_tokens, used.completion_tokens, used.total_tokens


async def test_each_answer_is_that_of_its_own_seed_and_usage_is_summed(client: AsyncOpenAI) -> None:
    async with client:
        several = await ask(client, n=3, seed=LAST_SEED - 1)
        alone = [await ask(client, seed=seed) for seed in (LAST_SEED - 1, LAST_SEED, -(2**63))]

    assert texts(several) == [texts(each)[0] for each in alone]
    assert len(set(texts(several))) > 1
    assert usage(several) == tuple(map(sum, zip(*map(usage, alone), strict=True)))


async def test_a_stream_of_several_answers_adds_up_by_index(client: AsyncOpenAI) -> None:
    async with client:
        whole = await ask(client, n=3, seed=5)
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                **ASKED, n=3, seed=5, stream=True, stream_options={"include_usage": True}
            )
        ]

    said = ["", "", ""]
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        said[choice.index] += choice.delta.content or ""
    assert said == texts(whole)
    ends = [c.index for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert sorted(ends) == [0, 1, 2]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


async def test_answers_without_a_seed_have_seeds_of_their_own(client: AsyncOpenAI) -> None:
    async with client:
        several = await ask(client, n=8)

    assert len(set(texts(several))) > 1


async def test_one_key_is_the_same_turns_and_no_other_number_of_them(client: AsyncOpenAI) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    async with client:
        first, again = await asyncio.gather(
            ask(client, n=2, extra_headers=headers), ask(client, n=2, extra_headers=headers)
        )
        with pytest.raises(BadRequestError, match="This idempotency key was used"):
            await ask(client, n=3, extra_headers=headers)

    assert again == first


@pytest.mark.parametrize("n", [0, 9])
async def test_a_number_of_answers_that_is_not_served_is_named(client: AsyncOpenAI, n: int) -> None:
    async with client:
        with pytest.raises(BadRequestError) as refused:
            await ask(client, n=n)

    assert (refused.value.status_code, refused.value.param) == (400, "n")


async def test_neighbouring_seeds_of_more_than_53_bits_differ_and_equal_ones_do_not(
    client: AsyncOpenAI,
) -> None:
    async with client:
        first, again, next_one = [
            texts(await ask(client, seed=seed)) for seed in (2**53, 2**53, 2**53 + 1)
        ]

    assert first == again != next_one
