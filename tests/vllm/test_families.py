"""Models of other families through vLLM: each answers greedily as transformers does, in float32.

Starting vLLM takes half a minute, so each family answers once, several turns together.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from harness import tiny_family
from tests.vllm.conftest import HEAD_DIM, Engines
from tests.workers.contract.asking import LENGTH, generated, greedy, prompts
from tests.workers.listener import start
from turnstream.workers.engines.checkpoint import find
from turnstream.workers.engines.families import SLOT_FAMILIES
from turnstream.workers.engines.vllm_setup import read_any_config

#: What the engine slot refuses.
OTHERS = ("gemma2",)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.model_cell(f"`{kind}`", "safetensors", "vllm", "run"))
        for kind in (*sorted(SLOT_FAMILIES), *OTHERS)
    ],
)
def test_a_family_answers_as_generate_does(kind: str, tmp_path: Path) -> None:
    folder = tiny_family.make(tmp_path, kind, head_dim=HEAD_DIM)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    asked = prompts(3, seed=1)
    engines = Engines(folder)
    try:
        engine = engines.make(slots=2)
        turns = [start(engine, prompt, greedy(20)) for prompt in asked]
        assert [turn.wait() for turn in turns] == [LENGTH] * 3
    finally:
        engines.stop()
    assert [turn.ids for turn in turns] == [generated(model, prompt, 20) for prompt in asked]


def test_a_config_that_only_vllm_knows_is_read(tmp_path: Path) -> None:
    config = {"model_type": "step3_text", "architectures": ["Step3TextForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 77}))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")

    assert read_any_config(find(str(tmp_path), engine="vllm")).vocab_size == 77
