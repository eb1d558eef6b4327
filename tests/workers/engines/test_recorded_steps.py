"""A recorded step computes what a plain one computes; otherwise it is not used, with a log line."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from harness import tiny_llama
from tests.workers.plain_recorder import PlainRecorder
from turnstream.workers.engines import attention
from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.recorded_steps import RecordedSteps, recorded_steps

SLOTS = 6


@pytest.fixture
def model(tiny_llama_folder: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    attention.register(model)
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


def after_prompts(model: LlamaForCausalLM, cache: KvCache, slots: Sequence[int]) -> PackedStep:
    """Prefill each slot with a prompt of its own length; return the decode step after it."""
    prompts = [NewTokens(slot=slot, start=0, ids=range(3, 25 + 7 * slot)) for slot in slots]
    PackedStep(cache, prompts, model.device).hidden(model)
    new = [NewTokens(slot=slot, start=22 + 7 * slot, ids=[40 + slot]) for slot in slots]
    return PackedStep(cache, new, model.device)


@torch.inference_mode()
@pytest.mark.parametrize("slots", [[3], [0, 5], [5, 1, 2], [0, 1, 2, 4, 5], range(6)])
def test_a_recorded_step_computes_what_a_plain_one_computes(
    model: LlamaForCausalLM, slots: Sequence[int]
) -> None:
    cache = make_cache(model)
    recorded = recorded_steps(model, cache, PlainRecorder())
    assert recorded
    step = after_prompts(model, cache, slots)
    plain = model.lm_head(step.hidden(model))
    torch.testing.assert_close(recorded.logits(step), plain, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_slots_outside_a_step_are_not_written(model: LlamaForCausalLM) -> None:
    cache = make_cache(model)
    recorded = RecordedSteps(model, cache, PlainRecorder())
    step = after_prompts(model, cache, [1, 2, 4])
    rest = [0, 3, 5]
    before = [block[rest].clone() for block in (*cache.keys, *cache.values)]
    recorded.logits(step)
    after = [block[rest] for block in (*cache.keys, *cache.values)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_steps_are_recorded_for_powers_of_two_and_for_all_slots(
    model: LlamaForCausalLM,
) -> None:
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
    ("recorder", "reason"),
    [(Failing(), "too old"), (Mistaken(), "off by"), (Poisoned(), "off by nan")],
    ids=["fails", "other logits", "nan"],
)
def test_a_wrong_recording_is_not_used(
    model: LlamaForCausalLM, recorder: PlainRecorder, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert recorded_steps(model, make_cache(model), recorder) is None
    assert "each step is launched separately" in caplog.text
    assert reason in caplog.text
