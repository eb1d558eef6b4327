"""Families whose attention is Llama's: the slot engine computes what transformers does.

The contract of engines over each of them is `tests/workers/families`, among the long tests.
"""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import tiny_family
from tests.workers.contract.asking import generated, greedy
from tests.workers.listener import start
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.checkpoint import find, load_model, read_config
from turnstream.workers.engines.decode_op import DecodeOp
from turnstream.workers.engines.families import SLOT_FAMILIES, check_family, window
from turnstream.workers.engines.sizing import fit
from turnstream.workers.engines.slot_engine import SlotEngine

PROMPTS = ([5, 9, 33, 70, 12, 8], [7, 7, 41], [90, 3, 22, 61, 18, 4, 55, 11, 2])
TOKENS = 16
CPU = torch.device("cpu")
BEYOND = "safetensors, a context beyond the sliding window"
#: Angles that depend on the position alone.
ROPES: dict[str, dict[str, Any]] = {
    "linear": {"factor": 4.0},
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
}


def answers(folder: Path, op: DecodeOp | None) -> list[list[int]]:
    """Answer the prompts together, in pieces of four tokens."""
    engine = SlotEngine(
        load_model(find(str(folder)), device=CPU, dtype=torch.float32),
        slots=len(PROMPTS),
        context=64,
        eos_ids=frozenset(),
        after_step=lambda: None,
        prompt_tokens=4,
        decode_op=op,
    )
    try:
        turns = [start(engine, prompt, greedy(TOKENS)) for prompt in PROMPTS]
        for turn in turns:
            turn.wait()
    finally:
        engine.stop(0)
    return [turn.ids for turn in turns]


def expected(folder: Path) -> list[list[int]]:
    """Return what transformers answers."""
    plain = load_model(find(str(folder)), device=CPU, dtype=torch.float32)
    plain.generation_config.eos_token_id = None
    with torch.inference_mode():
        return [generated(plain, prompt, TOKENS) for prompt in PROMPTS]


def cell(family: str, engine: str, how: str, weights: str = "safetensors") -> pytest.MarkDecorator:
    return pytest.mark.model_cell(family, weights, engine, how)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=cell(f"`{kind}`", "slot", "run")) for kind in sorted(SLOT_FAMILIES)],
)
def test_answers_are_those_of_generate(
    kind: str, tmp_path: Path, compiled_op: DecodeOp | None
) -> None:
    folder = tiny_family.make(tmp_path, kind)
    wanted = expected(folder)
    assert answers(folder, None) == wanted
    assert answers(folder, compiled_op) == wanted


@pytest.mark.parametrize(
    "rope_type",
    [
        pytest.param(name, marks=cell("`llama`", "slot", "run", f"safetensors, angles `{name}`"))
        for name in ROPES
    ],
)
def test_scaled_angles_are_those_of_generate(
    rope_type: str, tmp_path: Path, compiled_op: DecodeOp | None
) -> None:
    rope = {"rope_type": rope_type, "rope_theta": 10_000.0, **ROPES[rope_type]}
    folder = tiny_family.make(tmp_path / "scaled", "llama", rope_parameters=rope)
    wanted = expected(folder)
    assert wanted != expected(tiny_family.make(tmp_path / "plain", "llama"))
    assert answers(folder, compiled_op) == wanted


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=cell(f"`{kind}`", "slot", "refused", BEYOND))
        for kind in ("gemma3_text", "mistral", "phi3", "qwen2", "qwen3")
    ],
)
def test_a_sliding_window_bounds_the_context_of_the_slot_engine(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"use_sliding_window": True, "max_window_layers": 1} if "qwen" in kind else {}
    folder = tiny_family.make(tmp_path, kind, sliding_window=32, **settings)
    config = read_config(find(str(folder)))

    def fitting(context: int | None) -> int:
        reach = window(config)
        return fit(config, torch.float32, slots=1, context=context, free=2**30, reach=reach).context

    with caplog.at_level(logging.WARNING):
        assert fitting(None) == 32
    assert "the model's sliding window has 32 tokens, which is the context" in caplog.text
    with pytest.raises(CheckpointError, match=r"^context 33: the model's sliding window has 32"):
        fitting(33)


def test_a_window_that_no_layer_has_bounds_nothing(tmp_path: Path) -> None:
    everywhere = ["full_attention", "full_attention"]
    folder = tiny_family.make(tmp_path, "gemma3_text", sliding_window=32, layer_types=everywhere)
    assert window(read_config(find(str(folder)))) is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        pytest.param(
            {"model_type": "llama", "rope_scaling": {"rope_type": "dynamic"}},
            "its rope_type dynamic",
            marks=cell("any", "slot", "refused", "safetensors, angles `dynamic`"),
        ),
        pytest.param(
            {"model_type": "phi3", "rope_scaling": {"type": "longrope"}},
            "its rope_type longrope",
            marks=cell("any", "slot", "refused", "safetensors, angles `longrope`"),
        ),
        ({"model_type": "phi3", "rope_scaling": {"type": "su"}}, "its rope_type su"),
        ({"model_type": "phi3", "rope_scaling": {"type": "yarn"}}, "its rope_type yarn"),
        (
            {
                "model_type": "gemma3_text",
                "rope_parameters": {"full_attention": {"rope_type": "dynamic"}},
            },
            "its rope_type dynamic",
        ),
        pytest.param(
            {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]},
            "gemma2 is not run by slot: it caps its attention scores",
            marks=cell("`gemma2`", "slot", "refused"),
        ),
        *(
            pytest.param(
                {"model_type": kind, "architectures": [name]},
                f"not a causal model of {', '.join(sorted(SLOT_FAMILIES))} but {name}",
                marks=cell(f"`{kind}`", "slot", "refused"),
            )
            for kind, name in (("gpt2", "GPT2LMHeadModel"), ("olmo2", "Olmo2ForCausalLM"))
        ),
        (
            {"model_type": "gemma3_text", "attn_logit_softcapping": 50.0},
            "it caps its attention scores (attn_logit_softcapping)",
        ),
        (
            {"model_type": "gemma3_text", "final_logit_softcapping": 30.0},
            "it caps its logits (final_logit_softcapping)",
        ),
        (
            {"model_type": "gemma3_text", "use_bidirectional_attention": True},
            "it attends to later tokens too (use_bidirectional_attention)",
        ),
        (
            {"model_type": "phimoe", "architectures": ["PhimoeForCausalLM"]},
            f"not a causal model of {', '.join(sorted(SLOT_FAMILIES))} but PhimoeForCausalLM",
        ),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else None,
)
def test_what_slot_would_compute_wrongly_is_refused_and_left_to_vllm(
    settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as refused:
        check_family(settings, engine="slot")
    assert re.fullmatch(rf"{re.escape(why)}.*; try --engine vllm", str(refused.value))
    check_family(settings, engine="vllm")


@cell("`gemma3` with images", "slot", "refused")
@cell("`gemma3` with images", "vllm", "refused")
def test_what_takes_images_is_not_left_to_vllm() -> None:
    settings = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"]}
    with pytest.raises(CheckpointError, match=r"it takes images too; gemma3_text runs$"):
        check_family(settings, engine="slot")
    with pytest.raises(CheckpointError, match="not a causal language model but Gemma3For"):
        check_family(settings, engine="vllm")


@cell("what is no causal language model", "vllm", "refused")
def test_vllm_is_given_any_causal_model_and_nothing_else() -> None:
    check_family({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, engine="vllm")
    with pytest.raises(CheckpointError, match="not a causal language model but BertModel"):
        check_family({"model_type": "bert", "architectures": ["BertModel"]}, engine="vllm")
