"""Old clients send raw prompts, and the model continues them without a chat format."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types import Completion
from transformers import AutoTokenizer

from harness.service import ROOT, Service
from tests.schemas.published import OPENAPI, wrong
from turnstream.prompts.llama2 import SYSTEM_PROMPT, system_head

TITANIC = "Do you know the movie Titanic?"
#: As Llama 2's chat format has it, but for the BOS.
RAW = f"{system_head(SYSTEM_PROMPT)}{TITANIC} [/INST]"
STORY = "Once upon a time"
DEMO = ROOT / "workers" / "demo"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def asked(prompt: Any, **fields: Any) -> Any:
    return {"model": "demo", "prompt": prompt, "temperature": 0} | fields


def story(**fields: Any) -> Any:
    return asked(STORY) | fields


async def pieces(client: AsyncOpenAI, request: Any) -> list[Completion]:
    return [piece async for piece in await client.completions.create(**request, stream=True)]


def texts(found: list[Completion], count: int) -> list[str]:
    """Put together what a stream says to each prompt."""
    said = count * [""]
    for piece in found:
        for choice in piece.choices:
            said[choice.index] += choice.text
    return said


async def test_a_raw_prompt_is_continued_as_it_stands_and_its_white_space_is_kept(
    client: AsyncOpenAI,
) -> None:
    raw = await client.completions.create(**asked(RAW, max_tokens=100))
    chat = await client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": TITANIC}], temperature=0
    )

    assert chat.usage is not None
    assert raw.usage is not None
    assert raw.choices[0].text == f" {chat.choices[0].message.content}"
    assert raw.choices[0].finish_reason == "stop"
    assert raw.usage.prompt_tokens == chat.usage.prompt_tokens


async def test_a_stream_of_a_completion_adds_up_and_ends_with_its_usage(
    client: AsyncOpenAI,
) -> None:
    request = asked(STORY, max_tokens=20, stream_options={"include_usage": True})
    whole = await client.completions.create(**asked(STORY, max_tokens=20))
    found = await pieces(client, request)

    assert whole.usage is not None
    assert whole.usage.completion_tokens == 20
    assert texts(found, 1) == [whole.choices[0].text] != [""]
    assert found[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert found[-1].choices == []
    assert found[-1].usage is not None
    assert found[-1].usage.total_tokens == whole.usage.total_tokens
    assert {piece.id for piece in found} == {found[0].id}
    assert found[0].id.startswith("cmpl-")


async def test_sixteen_tokens_are_the_default_and_a_stop_string_ends_a_text_before_itself(
    client: AsyncOpenAI,
) -> None:
    whole = await client.completions.create(**asked(STORY))
    text = whole.choices[0].text
    stop = text.split()[2]
    stopped = await client.completions.create(**asked(STORY, stop=stop))

    assert whole.usage is not None
    assert whole.usage.completion_tokens == 16
    assert stopped.choices[0].text == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("echo", [True, False])
async def test_each_of_several_prompts_is_answered_under_its_index(
    client: AsyncOpenAI, echo: bool
) -> None:
    prompts = [RAW, STORY, "The"]
    single = [await client.completions.create(**asked(prompt)) for prompt in prompts]
    whole = await client.completions.create(**asked(prompts, echo=echo))
    found = await pieces(client, asked(prompts, echo=echo))

    expected = [
        prompt * echo + one.choices[0].text for prompt, one in zip(prompts, single, strict=True)
    ]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert [choice.text for choice in whole.choices] == expected
    assert texts(found, 3) == expected
    written = [one.usage.completion_tokens for one in single if one.usage]
    assert whole.usage is not None
    assert whole.usage.completion_tokens == sum(written) > 30


@pytest.mark.parametrize("prompt", [[1], [[1], [1]], None, ""])
async def test_a_prompt_may_be_token_ids_or_nothing(client: AsyncOpenAI, prompt: Any) -> None:
    nothing = await client.completions.create(**asked(""))
    given = await client.completions.create(**asked(prompt))

    assert {choice.text for choice in given.choices} == {nothing.choices[0].text}
    assert given.usage is not None
    assert given.usage.prompt_tokens == len(given.choices)


async def test_everything_sent_is_valid_for_the_official_sdk(http: httpx2.AsyncClient) -> None:
    whole = await http.post("/v1/completions", json=asked(STORY))
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = await http.post("/v1/completions", json=asked([STORY, "The"], **options))

    Completion.model_validate_json(whole.content, strict=True)
    assert wrong(OPENAPI, "TextCompletion", whole.json()) is None
    lines = [line[6:] for line in stream.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    found = [json.loads(line) for line in lines]
    for piece in found:
        assert wrong(OPENAPI, "TextCompletion", piece) is None
    assert [piece["usage"] is None for piece in found] == [*(len(found) - 1) * [True], False]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"suffix": "the end"}, "unsupported_parameter", "suffix"),
        ({"logprobs": 0}, "unsupported_parameter", "logprobs"),
        ({"logit_bias": {"99999999": 1}}, "invalid_value", "logit_bias"),
        ({"n": 2}, "unsupported_parameter", "n"),
        ({"best_of": 2}, "unsupported_parameter", "best_of"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "unsupported_parameter", "messages"),
        ({"max_completion_tokens": 4}, "unsupported_parameter", "max_completion_tokens"),
        ({"response_format": {"type": "json_object"}}, "unsupported_parameter", "response_format"),
        ({"store": True}, "unsupported_parameter", "store"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": -2}, "invalid_value", "max_tokens"),
        ({"stop": ["a", ""]}, "invalid_value", "stop"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": ["a", 1]}, "invalid_value", "prompt"),
        ({"prompt": [[1], []]}, "invalid_value", "prompt"),
        ({"prompt": [[-1]]}, "invalid_value", "prompt[0][0]"),
        ({"prompt": 129 * ["a"]}, "invalid_value", "prompt"),
        ({"prompt": [10**9]}, "invalid_value", "prompt"),
        ({"prompt": "word " * 9_000}, "context_length_exceeded", "prompt"),
        ({"prompt": [1], "echo": True}, "unsupported_parameter", "echo"),
        ({"model": "nobody's"}, "model_not_found", "model"),
    ],
)
async def test_what_is_not_served_is_refused_by_name(
    client: AsyncOpenAI, fields: dict[str, Any], code: str, param: str
) -> None:
    # The SDK has no arguments for the fields of other protocols.
    plain = story() | {name: fields[name] for name in ("prompt", "model") if name in fields}
    with pytest.raises(APIStatusError) as refused:
        await client.completions.create(**plain, extra_body=fields)

    assert (refused.value.code, refused.value.param) == (code, param)


async def test_fields_that_ask_for_nothing_are_accepted(client: AsyncOpenAI) -> None:
    harmless: dict[str, Any] = {
        "n": 1,
        "best_of": 1,
        "suffix": "",
        "logprobs": None,
        "logit_bias": {},
        "user": "somebody",
        "frequency_penalty": 0,
        "seed": 5,
    }
    plain = await client.completions.create(**asked(STORY))
    same = await client.completions.create(**asked(STORY, **harmless))

    assert same.choices == plain.choices


async def test_a_bias_and_the_extras_of_load_generators_have_an_effect(client: AsyncOpenAI) -> None:
    lighthouse: dict[str, Any] = asked(STORY, max_tokens=5)
    usual = await client.completions.create(**lighthouse)
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    [first, *_] = tokenizer(usual.choices[0].text.strip(), add_special_tokens=False).input_ids
    other = await client.completions.create(**lighthouse, logit_bias={str(first): -100})
    extra: dict[str, Any] = {"ignore_eos": True, "min_tokens": 400}
    long = await client.completions.create(**asked(STORY, max_tokens=400), extra_body=extra)

    assert usual.choices[0].text.split()[0] != other.choices[0].text.split()[0]
    assert long.usage is not None
    assert long.usage.completion_tokens == 400


async def test_a_batch_may_be_of_text_completions(client: AsyncOpenAI) -> None:
    def line(id: str, **body: Any) -> bytes:
        request = {"custom_id": id, "method": "POST", "url": "/v1/completions", "body": body}
        return json.dumps(request).encode() + b"\n"

    live = await client.completions.create(**asked(STORY))
    content = line("a", **asked(STORY))
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
    )
    async with asyncio.timeout(60):
        while (batch := await client.batches.retrieve(batch.id)).output_file_id is None:
            await asyncio.sleep(0.1)
    [text] = (await client.files.content(batch.output_file_id)).text.splitlines()

    result = Completion.model_validate(json.loads(text)["response"]["body"], strict=True)
    assert result.choices == live.choices
