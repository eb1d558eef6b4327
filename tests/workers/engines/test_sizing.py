"""Slots, context and tokens for a memory, with played numbers of its allocator."""

import logging
from functools import partial

import pytest
import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.sizing import GPU_SLOTS, KV_SHARE, fit

#: Llama-2-7b: 512 KiB a token in bfloat16.
SEVEN_B = LlamaConfig(
    num_hidden_layers=32, num_attention_heads=32, hidden_size=4096, max_position_embeddings=4096
)
BF16 = torch.bfloat16
GIB = 2**30

on_a_gpu = partial(fit, SEVEN_B, BF16, page_tokens=256, most_slots=GPU_SLOTS)
on_a_cpu = partial(fit, SEVEN_B, BF16, page_tokens=64)


def test_slots_share_the_memory_and_each_may_have_the_whole_context() -> None:
    # 9.5 GiB beside the weights on a card of 24 GB: three whole contexts.
    assert on_a_gpu(slots=None, context=None, free=9 * GIB + GIB // 2) == (14, 4096, 15104)
    assert on_a_gpu(slots=30, context=None, free=9 * GIB + GIB // 2) == (30, 4096, 15104)


def test_as_many_slots_are_chosen_as_are_likely_to_fit() -> None:
    assert on_a_gpu(slots=None, context=None, free=60 * GIB).slots == GPU_SLOTS
    assert on_a_cpu(slots=None, context=None, free=60 * GIB) == (8, 4096, 8 * 4096)
    # Turns are shorter than usual where the context is.
    assert on_a_gpu(slots=None, context=256, free=9 * GIB).slots == 56


def test_no_more_memory_is_taken_than_all_slots_can_use() -> None:
    assert on_a_gpu(slots=4, context=1000, free=60 * GIB) == (4, 1000, 4 * 1024)


def test_a_default_context_is_shortened_to_fit_the_memory() -> None:
    assert on_a_gpu(slots=2, context=None, free=2 * GIB) == (2, 2560, 2816)


def test_a_context_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        CheckpointError,
        match=r"^a context of 4096 tokens does not fit the memory, which has room for 2816$",
    ):
        on_a_gpu(slots=16, context=4096, free=2 * GIB)


def test_a_context_beyond_the_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^context 5000: the model supports 4096 tokens$"):
        on_a_gpu(slots=1, context=5000, free=100 * GIB)


def test_there_are_fewer_slots_where_not_each_has_a_page(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert on_a_gpu(slots=16, context=None, free=2 * GIB) == (10, 512, 2816)
    assert "room for 10 slots, not 16" in caplog.text


def test_memory_for_no_slot_is_refused() -> None:
    with pytest.raises(CheckpointError, match="a context of 512 tokens does not fit the memory"):
        on_a_gpu(slots=1, context=None, free=GIB // 4)


@pytest.mark.parametrize("slots", [None, 1, 8, 30, 64])
@pytest.mark.parametrize("free", [2 * GIB, 5 * GIB + 12345, 9 * GIB, 60 * GIB])
@pytest.mark.parametrize("context", [None, 300, 1000])
@pytest.mark.parametrize("whole_slots", [False, True])
def test_all_pages_fit_the_share_of_the_memory(
    slots: int | None, free: int, context: int | None, whole_slots: bool
) -> None:
    size = on_a_gpu(slots=slots, context=context, free=free, whole_slots=whole_slots)
    # One page is for padding.
    assert (size.tokens + 256) * bytes_per_token(SEVEN_B, BF16) <= free * KV_SHARE
    assert size.context == (context or size.context)
    pages = size.tokens // 256
    own = -(-size.context // 256)
    assert pages >= (own * size.slots if whole_slots else own + size.slots - 1)
    assert 1 <= size.slots <= (slots or GPU_SLOTS)
