"""Slots and context for a memory, with played numbers of its allocator."""

import logging

import pytest
import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.sizing import KV_SHARE, fit

#: Llama-2-7b: 512 KiB a token in bfloat16.
SEVEN_B = LlamaConfig(
    num_hidden_layers=32, num_attention_heads=32, hidden_size=4096, max_position_embeddings=4096
)
BF16 = torch.bfloat16
GIB = 2**30


def test_a_default_context_is_shortened_to_fit_the_memory() -> None:
    # 32 GiB for 16 slots of 4096.
    assert fit(SEVEN_B, BF16, slots=16, context=None, free=41 * GIB) == (16, 4096)
    assert fit(SEVEN_B, BF16, slots=16, context=None, free=20 * GIB) == (16, 2048)


def test_a_context_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match="16 slots × 4096 tokens do not fit the memory; 16 × 2048 do"
    ):
        fit(SEVEN_B, BF16, slots=16, context=4096, free=20 * GIB)


def test_a_context_beyond_the_model_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"^context 5000: the model supports 4096 tokens$"):
        fit(SEVEN_B, BF16, slots=1, context=5000, free=100 * GIB)


def test_without_a_context_there_are_fewer_slots_instead(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fit(SEVEN_B, BF16, slots=16, context=None, free=GIB) == (3, 546)
    assert "room for 3 slots of 512 tokens, not 16" in caplog.text


def test_memory_for_no_slot_is_refused() -> None:
    with pytest.raises(CheckpointError, match="1 slots × 512 tokens do not fit the memory"):
        fit(SEVEN_B, BF16, slots=1, context=None, free=GIB // 4)


@pytest.mark.parametrize("slots", [1, 8, 30, 64])
@pytest.mark.parametrize("free", [2 * GIB, 5 * GIB + 12345, 9 * GIB, 60 * GIB])
@pytest.mark.parametrize("context", [None, 300, 1000])
def test_whole_pages_fit_the_share_of_the_memory(
    slots: int, free: int, context: int | None
) -> None:
    try:
        size = fit(SEVEN_B, BF16, slots=slots, context=context, free=free, page_tokens=256)
    except CheckpointError:
        assert context
        return
    pages = size.slots * -(-size.context // 256) + 1
    assert pages * 256 * bytes_per_token(SEVEN_B, BF16) <= free * KV_SHARE
    assert size.context == (context or size.context)
