"""The fixtures of the contract, over a tiny model of each family but Llama."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from harness import tiny_family
from tests.workers.plain_recorder import PlainRecorder
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.families import SLOT_FAMILIES


@pytest.fixture(scope="session", params=sorted(SLOT_FAMILIES.keys() - {"llama"}))
def tiny_llama_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A Hugging Face folder with a tiny model of the family and its tokenizer."""
    return tiny_family.make(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def reference(tiny_llama_folder: Path) -> LlamaForCausalLM:
    """The same model in transformers; it has no EOS, like the engines."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(params=["on-a-cpu", "as-on-a-gpu"])
def way(request: pytest.FixtureRequest, compiled_op: DecodeOp | None) -> dict[str, Any]:
    """Run a test as each device would, on a CPU with the compiled op where it fits the family."""
    if request.param == "as-on-a-gpu":
        return {"ahead": True, "recorder": PlainRecorder()}
    return {"decode_op": compiled_op}
