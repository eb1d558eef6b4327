"""Families whose attention is Llama's: the slot engine computes what transformers does."""

from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import CheckpointError, Finish
from turnstream.workers.engines.checkpoint import find, load_model, read_config
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.families import SLOT_FAMILIES, check_family, window
from turnstream.workers.engines.sizing import fit
from turnstream.workers.engines.slot_engine import SlotEngine

PROMPTS = ([5, 9, 33, 70, 12, 8], [7, 7, 41], [90, 3, 22, 61, 18, 4, 55, 11, 2])
TOKENS = 16
CPU = torch.device("cpu")


def make(kind: str, folder: Path, **others: Any) -> Path:
    size: dict[str, Any] = {
        "vocab_size": 96,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
    }
    if kind in ("gemma", "mistral", "qwen3"):
        size["head_dim"] = 16
    state = torch.get_rng_state()
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **size | others))
    for weight in model.parameters():
        # Biases and the scales of norms begin as 0 and 1, which hides that they are left out.
        if weight.dim() == 1:
            torch.nn.init.normal_(weight, mean=0.5, std=0.3)
    torch.set_rng_state(state)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", sorted(SLOT_FAMILIES))
def test_answers_are_those_of_generate(
    kind: str, compiled: bool, tmp_path: Path, compiled_op: DecodeOp | None
) -> None:
    checkpoint = find(str(make(kind, tmp_path)))
    plain = load_model(checkpoint, device=CPU, dtype=torch.float32)
    with torch.inference_mode():
        expected = [
            plain.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt)),
                do_sample=False,
                max_new_tokens=TOKENS,
            )[0, len(prompt) :].tolist()
            for prompt in PROMPTS
        ]
    engine = SlotEngine(
        load_model(checkpoint, device=CPU, dtype=torch.float32),
        slots=3,
        context=64,
        eos_ids=frozenset(),
        after_step=lambda: None,
        prompt_tokens=4,
        decode_op=compiled_op if compiled else None,
    )
    try:
        answers: list[list[int]] = [[] for _ in PROMPTS]
        ends: Queue[Finish] = Queue()
        for prompt, answer in zip(PROMPTS, answers, strict=True):

            def on_step(ids: Any, finish: Finish | None, answer: list[int] = answer) -> None:
                answer.extend(ids)
                if finish:
                    ends.put(finish)

            engine.submit(prompt, SamplingParams(temperature=0, max_tokens=TOKENS), on_step)
        assert [ends.get(timeout=60).reason for _ in PROMPTS] == ["length"] * 3
    finally:
        engine.stop(0)
    assert answers == expected


def test_a_sliding_window_bounds_the_context_of_the_slot_engine(tmp_path: Path) -> None:
    config = read_config(find(str(make("mistral", tmp_path, sliding_window=32))))

    def fitting(context: int | None) -> int:
        reach = window(config)
        return fit(config, torch.float32, slots=1, context=context, free=2**30, reach=reach).context

    assert fitting(None) == 32
    with pytest.raises(CheckpointError, match=r"^context 33: the model's sliding window has 32"):
        fitting(33)


@pytest.mark.parametrize("rope_type", ["dynamic", "longrope"])
def test_rope_that_depends_on_other_turns_is_refused(rope_type: str) -> None:
    settings = {"model_type": "llama", "rope_scaling": {"rope_type": rope_type}}

    with pytest.raises(CheckpointError, match=f"^its rope_type {rope_type} is not computed"):
        check_family(settings, engine="slot")
    check_family(settings, engine="vllm")


def test_vllm_is_given_any_causal_model_and_nothing_else() -> None:
    check_family({"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}, engine="vllm")
    with pytest.raises(CheckpointError, match="not a causal language model but BertModel"):
        check_family({"model_type": "bert", "architectures": ["BertModel"]}, engine="vllm")
