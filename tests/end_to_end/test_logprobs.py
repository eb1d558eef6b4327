"""The official client gets the log probabilities of the model, in both protocols."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import torch
from openai import AsyncOpenAI, BadRequestError
from transformers import AutoTokenizer, LlamaForCausalLM

from harness.service import ROOT, Service
from turnstream.prompts import SYSTEM_PROMPT, llama2

DEMO = ROOT / "workers" / "demo"
TITANIC = "Do you know the movie Titanic?"
#: Its answer has characters of several byte tokens.
JAPANESE = "映画「タイタニック」を知っていますか。"
LOGPROBS: Any = "message.output_text.logprobs"
TOKENS = 24
TOP = 3
#: Both compute in float32, in different batches.
CLOSE = 1e-3


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def expected() -> tuple[list[str], torch.Tensor]:
    """Give transformers' greedy answer to `TITANIC`: tokens, and log probabilities of all tokens.

    The latter are ``(tokens, vocabulary)``.
    """
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    model = LlamaForCausalLM.from_pretrained(DEMO, dtype=torch.float32).eval()
    prompt = llama2.prompt_ids(
        [("user", TITANIC)],
        system=SYSTEM_PROMPT,
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
        bos_id=1,
        eos_id=2,
        limit=2000,
        truncate=False,
    ).ids
    output = model.generate(
        torch.tensor([prompt]),
        max_new_tokens=TOKENS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    ids = output.sequences[0, len(prompt) :].tolist()
    tokens = [token.replace("▁", " ") for token in tokenizer.convert_ids_to_tokens(ids)]
    return tokens, torch.cat(output.logits).float().log_softmax(dim=-1)


def text_of(logprobs: Any) -> str:
    return b"".join(bytes(each.bytes) for each in logprobs).decode()


async def test_a_response_has_those_of_transformers(
    client: AsyncOpenAI, expected: tuple[list[str], torch.Tensor]
) -> None:
    response = await client.responses.create(
        model="demo",
        input=TITANIC,
        temperature=0,
        max_output_tokens=TOKENS,
        include=[LOGPROBS],
        top_logprobs=TOP,
    )
    [item] = response.output
    [part] = item.content  # type: ignore[union-attr]
    tokens, logprobs = expected
    assert [each.token for each in part.logprobs] == [tokens[0].lstrip(), *tokens[1:]]  # type: ignore[union-attr]
    for n, each in enumerate(part.logprobs):  # type: ignore[union-attr,arg-type]
        values = logprobs[n].topk(TOP).values.tolist()
        assert each.logprob == pytest.approx(values[0], abs=CLOSE)
        assert [top.logprob for top in each.top_logprobs] == pytest.approx(values, abs=CLOSE)
        assert each.top_logprobs[0].token == each.token
        assert bytes(each.top_logprobs[0].bytes) == bytes(each.bytes)
    assert text_of(part.logprobs) == response.output_text  # type: ignore[union-attr]
    assert response.top_logprobs == TOP

    # Stored, but returned to those only who include them.
    bare = await client.responses.retrieve(response.id)
    assert bare.output[0].content[0].logprobs == []  # type: ignore[union-attr]
    again = await client.responses.retrieve(response.id, include=[LOGPROBS])
    assert again.output == response.output


@pytest.mark.parametrize("question", [TITANIC, JAPANESE])
async def test_the_slices_of_a_stream_have_those_of_their_text(
    client: AsyncOpenAI, question: str
) -> None:
    stream: Any = await client.responses.create(
        model="demo", input=question, temperature=0, top_logprobs=2, stream=True
    )
    slices: list[Any] = []
    async for event in stream:
        match event.type:
            case "response.output_text.delta":
                assert text_of(event.logprobs) == event.delta
                slices += event.logprobs
            case "response.output_text.done":
                done = event
            case "response.content_part.done":
                part = event.part
            case "response.completed":
                response = event.response
    whole = [each.to_dict() for each in done.logprobs]
    assert [each.to_dict() for each in slices] == whole
    assert [each.to_dict() for each in part.logprobs] == whole
    assert [each.to_dict() for each in response.output[0].content[0].logprobs] == whole
    assert text_of(done.logprobs) == response.output_text
    assert {len(each.top_logprobs) for each in slices} == {2}
    assert len(slices) == response.usage.output_tokens


async def test_a_completion_has_those_of_a_response_whole_and_in_chunks(
    client: AsyncOpenAI,
) -> None:
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "user", "content": TITANIC}],
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": TOP,
        "max_tokens": TOKENS,
    }
    whole: Any = await client.chat.completions.create(**asked)
    chunks: list[Any] = [
        chunk async for chunk in await client.chat.completions.create(**asked, stream=True)
    ]
    response: Any = await client.responses.create(
        model="demo",
        input=TITANIC,
        temperature=0,
        max_output_tokens=TOKENS,
        include=[LOGPROBS],
        top_logprobs=TOP,
    )

    content = whole.choices[0].logprobs.content
    assert whole.choices[0].logprobs.refusal is None
    assert text_of(content) == whole.choices[0].message.content
    assert [(e.token, e.bytes) for e in content] == [
        (e.token, e.bytes) for e in response.output[0].content[0].logprobs
    ]
    streamed = []
    for chunk in chunks:
        [choice] = chunk.choices
        if choice.logprobs:
            assert text_of(choice.logprobs.content) == choice.delta.content
            streamed += choice.logprobs.content
        else:
            assert not choice.delta.content
    assert [e.token for e in streamed] == [e.token for e in content]
    assert [e.logprob for e in streamed] == pytest.approx([e.logprob for e in content], abs=CLOSE)


async def test_without_asking_there_are_none(client: AsyncOpenAI) -> None:
    response: Any = await client.responses.create(model="demo", input="Hi", max_output_tokens=4)
    assert response.output[0].content[0].logprobs == []
    completion = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hi"}], max_tokens=4
    )
    assert completion.choices[0].logprobs is None


async def test_a_bias_bans_the_first_token_and_an_unknown_token_is_refused_by_name(
    client: AsyncOpenAI,
) -> None:
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "user", "content": TITANIC}],
    }
    asked |= {"temperature": 0, "max_tokens": 6, "logprobs": True}
    usual: Any = await client.chat.completions.create(**asked)
    [first, *_] = usual.choices[0].logprobs.content
    id = AutoTokenizer.from_pretrained(DEMO).convert_tokens_to_ids("▁" + first.token)
    other: Any = await client.chat.completions.create(**asked, logit_bias={str(id): -100})
    assert other.choices[0].logprobs.content[0].token != first.token

    with pytest.raises(BadRequestError) as refused:
        await client.chat.completions.create(**asked, logit_bias={"99999999": 1})
    assert refused.value.param == "logit_bias"
    assert "99999999" in refused.value.message


async def test_load_generators_get_as_many_tokens_as_they_ask_for(client: AsyncOpenAI) -> None:
    for extra, most in (({"ignore_eos": True}, 90), ({"min_tokens": 90}, 90)):
        response = await client.responses.create(
            model="demo", input="Hello", temperature=0, max_output_tokens=most, extra_body=extra
        )
        assert response.usage is not None
        assert response.usage.output_tokens == most
        completion = await client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "Hello"}],
            temperature=0,
            max_tokens=most,
            extra_body=extra,
        )
        assert completion.usage is not None
        assert completion.usage.completion_tokens == most


async def test_the_lines_of_a_batch_have_them_too(client: AsyncOpenAI) -> None:
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": TITANIC}],
        "temperature": 0,
        "max_tokens": 8,
        "logprobs": True,
        "top_logprobs": 1,
    }
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = await client.files.create(
        file=("lines.jsonl", json.dumps(line).encode()), purpose="batch"
    )
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    async with asyncio.timeout(60):
        while batch.status != "completed":
            await asyncio.sleep(0.1)
            batch = await client.batches.retrieve(batch.id)
    assert batch.output_file_id is not None
    [result] = (await client.files.content(batch.output_file_id)).text.splitlines()
    [choice] = json.loads(result)["response"]["body"]["choices"]
    said = b"".join(bytes(each["bytes"]) for each in choice["logprobs"]["content"])
    assert said.decode() == choice["message"]["content"]
    assert all(len(each["top_logprobs"]) == 1 for each in choice["logprobs"]["content"])
