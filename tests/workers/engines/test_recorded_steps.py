"""A paged step computes what a plain one computes, recorded or not; otherwise it is not used."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from harness import tiny_llama
from tests.workers.plain_recorder import PlainRecorder
from turnstream.workers.engines import attention
from turnstream.workers.engines.attention import PENDING_ID, NewTokens, PackedStep
from turnstream.workers.engines.cuda_recorder import PAGE_TOKENS, flash_attention
from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.paged_step import Layout, PagedStep
from turnstream.workers.engines.prepared import prepared
from turnstream.workers.engines.recorded_steps import PagedSteps, layouts
from turnstream.workers.engines.steps import PlainSteps, Steps, start_steps

SLOTS = 6
PROMPT_TOKENS = 100


@pytest.fixture
def model(tiny_llama_folder: Path) -> LlamaForCausalLM:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    attention.register(model)
    return model


def started(model: LlamaForCausalLM, recorder: PlainRecorder) -> Steps:
    return start_steps(
        model,
        recorder,
        slots=SLOTS,
        context=tiny_llama.CONTEXT - 1,
        prompt_tokens=PROMPT_TOKENS,
    )


def paged(model: LlamaForCausalLM, recorder: PlainRecorder | None = None) -> PagedSteps:
    steps = started(model, recorder or PlainRecorder())
    assert isinstance(steps, PagedSteps)
    return steps


def after_prompts(
    model: LlamaForCausalLM, cache: KvCache, slots: Sequence[int], sizes: Sequence[int] = ()
) -> list[NewTokens]:
    """Prefill each slot with a prompt of its own length; return what comes next.

    Args:
        sizes: how many tokens of each slot that is; one by default.
    """
    prompts = [NewTokens(slot=slot, start=0, ids=range(3, 25 + 7 * slot)) for slot in slots]
    PackedStep(cache, prompts, model.device).hidden(model)
    return [
        NewTokens(slot=slot, start=22 + 7 * slot, ids=range(40 + slot, 40 + slot + size))
        for slot, size in zip(slots, sizes or [1] * len(slots), strict=True)
    ]


def plain_logits(
    model: LlamaForCausalLM, cache: KvCache, new_tokens: Sequence[NewTokens]
) -> Tensor:
    return PlainSteps(model, cache).logits(new_tokens, len(new_tokens))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("slots", "sizes"),
    [
        ([3], [1]),
        ([0, 5], [1, 1]),
        ([0, 1, 2, 4, 5], [1] * 5),
        (range(6), [1] * 6),
        ([4], [70]),
        ([5, 1, 2], [1, 40, 1]),
        ([2, 0, 1], [30, 1, 60]),
    ],
)
def test_a_recorded_step_computes_what_a_plain_one_computes(
    model: LlamaForCausalLM, slots: Sequence[int], sizes: Sequence[int]
) -> None:
    steps = paged(model)
    new = after_prompts(model, steps.cache, slots, sizes)
    plain = plain_logits(model, steps.cache, new)
    torch.testing.assert_close(steps.logits(new, len(new)), plain, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(steps.plain(new), plain, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_a_token_that_only_the_device_knows_is_read_there(model: LlamaForCausalLM) -> None:
    steps = paged(model)
    new = after_prompts(model, steps.cache, [1, 4])
    expected = plain_logits(model, steps.cache, new)
    steps.cache.last_ids[torch.tensor([1, 4])] = torch.tensor([41, 44])
    pending = [NewTokens(slot=each.slot, start=each.start, ids=[PENDING_ID]) for each in new]
    torch.testing.assert_close(steps.logits(pending, 2), expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [[1, 1, 1], [1, 20, 1]])
def test_slots_outside_a_step_are_not_written(model: LlamaForCausalLM, sizes: list[int]) -> None:
    steps = paged(model)
    cache = steps.cache
    new = after_prompts(model, cache, [1, 2, 4], sizes)
    rest = cache.table[[0, 3, 5]].flatten()
    before = [block[rest] for block in (*cache.keys, *cache.values)]
    steps.logits(new, 3)
    after = [block[rest] for block in (*cache.keys, *cache.values)]
    assert len(rest.unique()) == 3 * cache.slot_pages
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_padding_reads_one_token_of_the_scratch_slot() -> None:
    long = NewTokens(slot=2, start=200, ids=[7])
    row = Layout(tokens=3, turns=3, longest=1).row([long], scratch=6)
    _, _, slots, starts, lengths, turn_slots, last = torch.tensor(row).split([3, 3, 3, 4, 3, 3, 3])
    assert slots.tolist() == turn_slots.tolist() == [2, 6, 6]
    assert lengths.tolist() == [201, 1, 1]
    assert (starts.tolist(), last.tolist()) == ([0, 1, 2, 3], [0, 1, 2])


def test_steps_are_recorded_by_turns_and_with_prompts_by_tokens() -> None:
    wanted = layouts(slots=6, prompt_tokens=512)
    assert [(one.turns, one.tokens) for one in wanted if one.longest == 1] == [
        (1, 1),
        (2, 2),
        (4, 4),
        (6, 6),
    ]
    prompts = [(one.turns, one.tokens) for one in wanted if one.longest > 1]
    assert prompts == [(6, 64), (6, 128), (6, 256), (6, 512), (6, 518)]


class Failing(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("the driver is too old")


class Mistaken(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        out = compute()
        return lambda: out.flip(-1)


class OneTurnMixedUp(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def replay() -> Tensor:
            out = compute()
            out[-1] = out[0]
            return out

        return replay if len(compute()) > 1 else super().record(compute)


class Poisoned(PlainRecorder):
    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: compute() * float("nan")


@pytest.mark.parametrize(
    ("recorder", "reason", "left"),
    [
        (Failing(), "too old", []),
        (Mistaken(), "off by", []),
        (Poisoned(), "off by nan", []),
        (OneTurnMixedUp(), "off by", [1]),
    ],
    ids=["fails", "other logits", "nan", "one turn"],
)
def test_a_wrong_recording_is_not_used(
    model: LlamaForCausalLM,
    recorder: PlainRecorder,
    reason: str,
    left: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        steps = paged(model, recorder)
    assert [layout.turns for layout in steps.recorded] == left
    assert all(reason in why for why in steps.rejected.values())
    assert "no CUDA graph for steps of 6 turns and 6 tokens" in caplog.text
    assert reason in caplog.text


class FailsForTwo(PlainRecorder):
    def __init__(self) -> None:
        #: How many turns each replayed recording has.
        self.replayed: list[int] = []

    def record(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        turns = len(compute())
        if turns == 2:
            raise RuntimeError("not for two")

        def replay() -> Tensor:
            self.replayed.append(turns)
            return compute()

        return replay


@torch.inference_mode()
def test_a_step_without_a_recording_of_its_size_uses_the_next_larger_one(
    model: LlamaForCausalLM,
) -> None:
    recorder = FailsForTwo()
    steps = paged(model, recorder)
    assert [layout.turns for layout in steps.recorded if layout.longest == 1] == [1, 4, 6]
    new = after_prompts(model, steps.cache, [0, 5])
    plain = plain_logits(model, steps.cache, new)
    recorder.replayed.clear()
    torch.testing.assert_close(steps.logits(new, 2), plain, rtol=1e-3, atol=1e-4)
    assert recorder.replayed == [4]


def test_rotary_embedding_that_waits_for_positions_is_not_recorded(
    model: LlamaForCausalLM, caplog: pytest.LogCaptureFixture
) -> None:
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    with caplog.at_level(logging.WARNING):
        assert paged(model).recorded == []
    assert "rotary embedding depends on each step's positions" in caplog.text


@torch.inference_mode()
@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.parametrize("layout", layouts(slots=4, prompt_tokens=60))
def test_a_recorded_step_waits_for_no_value_on_the_device(layout: Layout, kv_heads: int) -> None:
    # Tensors on "meta" have shapes only: whatever a CUDA graph could not record fails here too.
    meta = torch.device("meta")
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
    )
    with meta:
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    prepared(model, None, joined=True)
    cache = PagedCache(
        config, slots=4, context=600, dtype=torch.bfloat16, device=meta, page_tokens=PAGE_TOKENS
    )
    row = torch.empty(sum(layout.parts), dtype=torch.int64, device=meta)
    logits = PagedStep(cache, row, layout, flash_attention).logits(model)
    assert (logits.shape, logits.dtype) == ((layout.turns, 96), torch.bfloat16)
