"""Forms of weights through vLLM: what it loads answers as the same weights do in transformers."""

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from harness import tiny_gguf
from tests.vllm.conftest import HEAD_DIM
from tests.workers.contract.asking import generated, greedy, prompts
from tests.workers.engines.test_lora import LAYERS, merged, write
from tests.workers.listener import answer
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.load import load_engine

TOKENS = 20
#: The layers of an adapter; here heads are wider than a layer.
SIZES = {LAYERS[0]: (32, 4 * HEAD_DIM), LAYERS[1]: (64, 32)}

pytestmark = pytest.mark.usefixtures("one_thread")


def answers(model: Path, **settings: Any) -> list[list[int]]:
    """Return what an engine answers to three prompts."""
    loaded = load_engine(
        model=str(model),
        engine="vllm",
        device="cpu",
        dtype="float32",
        slots=2,
        context=128,
        after_step=lambda: None,
        **settings,
    )
    try:
        return [answer(loaded.engine, each, greedy(TOKENS)) for each in prompts(3, seed=1)]
    finally:
        loaded.engine.stop(0)


def expected(model: LlamaForCausalLM) -> list[list[int]]:
    """Return what transformers answers to them, up to the EOS of the tokenizer."""
    spoken = [generated(model, each, TOKENS) for each in prompts(3, seed=1)]
    return [ids[: ids.index(2)] if 2 in ids else ids for ids in spoken]


@pytest.mark.model_cell("`llama`", "GGUF, float32", "vllm", "run")
def test_a_gguf_file_answers_as_its_folder(
    tiny_llama_folder: Path, reference: LlamaForCausalLM, tmp_path: Path
) -> None:
    file = tiny_gguf.write(tmp_path / "tiny.gguf", tiny_llama_folder)
    assert answers(file, cache=tmp_path) == expected(reference)


@pytest.mark.model_cell("`llama`", "a LoRA adapter (PEFT)", "vllm", "run")
@pytest.mark.parametrize("settings", [{}, {"alpha_pattern": {"q_proj": 8}}, {"use_rslora": True}])
def test_an_adapter_answers_as_its_merged_weights(
    tiny_llama_folder: Path, reference: LlamaForCausalLM, tmp_path: Path, settings: dict[str, Any]
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder, sizes=SIZES, **settings)
    model = merged(tiny_llama_folder, adapter)
    model.generation_config.eos_token_id = None

    assert answers(adapter) == expected(model) != expected(reference)


def test_an_adapter_that_does_not_fit_is_refused_at_start(
    tiny_llama_folder: Path, tmp_path: Path
) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder, sizes={LAYERS[0]: (32, 9)})
    with pytest.raises(CheckpointError, match="does not fit the model"):
        answers(adapter)


def test_a_rank_beyond_vllms_is_refused(tiny_llama_folder: Path, tmp_path: Path) -> None:
    adapter = write(tmp_path / "poet", tiny_llama_folder, sizes=SIZES, r=1000)
    with pytest.raises(CheckpointError, match="its rank is 1000; vLLM takes up to 512"):
        answers(adapter)
