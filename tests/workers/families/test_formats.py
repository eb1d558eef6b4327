"""Adapters of each family that `slot` runs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness import tiny_family
from tests.workers.contract.asking import generated, greedy
from tests.workers.engines.test_lora import write
from tests.workers.listener import answer
from turnstream.workers.engines import lora
from turnstream.workers.engines.families import SLOT_FAMILIES
from turnstream.workers.engines.load import load_engine

PROMPT = [1, 5, 6, 7, 30, 40]
#: Llama has `test_lora.py`; Qwen 2's tokenizer class adds a token to the tiny models' vocabulary.
OTHERS = sorted(SLOT_FAMILIES.keys() - {"llama", "qwen2"})

pytestmark = pytest.mark.long


def cell(kind: str, weights: str) -> pytest.MarkDecorator:
    return pytest.mark.model_cell(f"`{kind}`", weights, "slot", "run")


def answered(model: Path, **settings: Any) -> list[int]:
    """Return what the engine answers, up to its EOS."""
    loaded = load_engine(
        model=str(model), device="cpu", slots=1, context=100, after_step=lambda: None, **settings
    )
    try:
        return answer(loaded.engine, PROMPT, greedy(20))
    finally:
        loaded.engine.stop(0)


def until_eos(model: Any) -> list[int]:
    """Return what transformers answers, up to its EOS."""
    ids = generated(model, PROMPT, 20)
    return ids[: ids.index(2)] if 2 in ids else ids


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=cell(kind, "a LoRA adapter (PEFT)")) for kind in OTHERS],
)
def test_an_adapter_answers_as_its_merged_weights(kind: str, tmp_path: Path) -> None:
    folder = tiny_family.make(tmp_path / "base", kind)
    layer = "model.layers.1.mlp." + ("fc2" if kind == "phi" else "down_proj")
    adapter = write(tmp_path / "poet", folder, sizes={layer: (64, 32)})
    plain, model = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval() for _ in range(2)
    )
    lora.merge(model, adapter)

    assert answered(adapter, dtype="float32") == until_eos(model) != until_eos(plain)
