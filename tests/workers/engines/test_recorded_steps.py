"""A recorded step says what a plain one says; one that does not is not used, and the log tells."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from tests import tiny_llama
from tests.workers.plain_recorder import PlainRecorder
from turnstream.workers.engines import attention
from turnstream.workers.engines.attention import PackedStep, Part
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.recorded_steps import RecordedSteps, recorded_steps

SLOTS = 6


@pytest.fixture
def model(tiny_llama_folder: Path) -> LlamaForCausalLM:
    attention.register()
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    model.config._attn_implementation = attention.ATTENTION
    return model


def make_cache(model: LlamaForCausalLM) -> KvCache:
    return KvCache(
        model.config,
        slots=SLOTS,
        context=tiny_llama.CONTEXT - 1,
        dtype=model.dtype,
        device=model.device,
        page_tokens=PlainRecorder.page_tokens,
    )


def after_prompts(model: LlamaForCausalLM, cache: KvCache, rows: Sequence[int]) -> PackedStep:
    """Read a prompt of its own length into each row; return the step that goes on from there."""
    prompts = [Part(row=row, start=0, ids=range(3, 25 + 7 * row)) for row in rows]
    PackedStep(cache, prompts, model.device).hidden(model)
    parts = [Part(row=row, start=22 + 7 * row, ids=[40 + row]) for row in rows]
    return PackedStep(cache, parts, model.device)


@torch.inference_mode()
@pytest.mark.parametrize("rows", [[3], [0, 5], [5, 1, 2], [0, 1, 2, 4, 5], range(6)])
def test_a_recorded_step_says_what_a_plain_one_says(
    model: LlamaForCausalLM, rows: Sequence[int]
) -> None:
    cache = make_cache(model)
    recorded = recorded_steps(model, cache, PlainRecorder())
    assert recorded
    step = after_prompts(model, cache, rows)
    plain = model.lm_head(step.hidden(model))
    torch.testing.assert_close(recorded.logits(step), plain, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_what_a_step_does_not_bring_is_left_alone(model: LlamaForCausalLM) -> None:
    cache = make_cache(model)
    recorded = RecordedSteps(model, cache, PlainRecorder())
    step = after_prompts(model, cache, [1, 2, 4])
    rest = [0, 3, 5]
    before = [block[rest].clone() for block in (*cache.keys, *cache.values)]
    recorded.logits(step)
    after = [block[rest] for block in (*cache.keys, *cache.values)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_there_is_a_recording_for_each_doubling_and_for_all_rows(model: LlamaForCausalLM) -> None:
    recorded = RecordedSteps(model, make_cache(model), PlainRecorder())
    assert [recording.size for recording in recorded.recordings] == [1, 2, 4, 6]


class Failing(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("the driver is too old")


class Mistaken(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        out = compute()
        return lambda: out.flip(-1)


class Poisoned(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: compute() * float("nan")


@pytest.mark.parametrize(
    ("recorder", "says"),
    [(Failing(), "too old"), (Mistaken(), "off by"), (Poisoned(), "off by nan")],
    ids=["fails", "says something else", "says nothing"],
)
def test_a_recording_that_is_not_right_is_not_used(
    model: LlamaForCausalLM, recorder: PlainRecorder, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert recorded_steps(model, make_cache(model), recorder) is None
    assert "each is launched anew" in caplog.text
    assert says in caplog.text
