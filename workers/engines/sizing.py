"""How many slots, which context and how many tokens of keys and values fit the memory.

Slots take memory as their texts grow, so there may be far more of them than whole contexts fit. One
whole context always fits, and beside it a page for each other slot.
"""

import logging
import math
from typing import NamedTuple

import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.slot_cache import PAGE_TOKENS

log = logging.getLogger(__name__)

#: A default context is shortened to fit the memory, but not below this.
MIN_CONTEXT_TOKENS = 512
#: The share of the free memory that keys and values may take; the rest is for activations.
KV_SHARE = 0.8
#: How many slots there are by default, at most. A CPU computes no faster with more of them.
GPU_SLOTS = 64
CPU_SLOTS = 8
#: What a turn is expected to have on average, when the number of slots is chosen.
TURN_TOKENS = 1024


class Size(NamedTuple):
    """What an engine has room for."""

    slots: int
    #: Tokens of one turn, at most.
    context: int
    #: Tokens of all turns together, at most; whole pages.
    tokens: int


def fit(
    config: LlamaConfig,
    dtype: torch.dtype,
    *,
    slots: int | None,
    context: int | None,
    free: int,
    page_tokens: int = PAGE_TOKENS,
    most_slots: int = CPU_SLOTS,
    whole_slots: bool = False,
    reach: int | None = None,
) -> Size:
    """Return how many slots there are, and how many tokens one may have and all together.

    Args:
        slots: None takes as many as are likely to fit, up to ``most_slots``.
        context: None takes the model's maximum or what fits, with fewer slots if need be.
        free: bytes of memory.
        page_tokens: by how many tokens slots take memory; one page more is needed.
        whole_slots: each slot takes memory for a whole context at once.
        reach: the tokens of a sliding window, which the engine does not slide.

    Raises:
        CheckpointError: the context is longer than the model's, or does not fit the memory.
    """
    supported = _supported(config, context, reach)
    pages = int(free * KV_SHARE) // bytes_per_token(config, dtype) // page_tokens - 1
    least = math.ceil((context or min(supported, MIN_CONTEXT_TOKENS)) / page_tokens)
    if pages < least:
        raise CheckpointError(
            f"a context of {context or min(supported, MIN_CONTEXT_TOKENS)} tokens does not fit the"
            f" memory, which has room for {max(pages, 0) * page_tokens}"
        )
    typical = math.ceil(min(context or supported, TURN_TOKENS) / page_tokens)
    wanted = slots or max(1, min(most_slots, pages // typical))
    # Each other slot has at least this.
    other = least if whole_slots else 1
    count = min(wanted, (pages - least) // other + 1)
    if count < wanted:
        log.warning("the memory has room for %d slots, not %d", count, wanted)
    if context is None:
        rest = pages // count if whole_slots else pages - (count - 1)
        context = min(supported, rest * page_tokens)
    tokens = min(pages, count * math.ceil(context / page_tokens)) * page_tokens
    return Size(count, context, tokens)


def most_slots(device: torch.device) -> int:
    """Return how many slots there are by default on a device, at most."""
    return GPU_SLOTS if device.type == "cuda" else CPU_SLOTS


def _supported(config: LlamaConfig, context: int | None, reach: int | None) -> int:
    """Return the longest context of a model; raise CheckpointError if a longer one is asked for."""
    supported = config.max_position_embeddings
    if reach is not None and reach < supported:
        supported = reach
        if context is not None and context > reach:
            raise CheckpointError(
                f"context {context}: the model's sliding window has {reach} tokens; more need"
                " --engine vllm"
            )
    if context is not None and context > supported:
        raise CheckpointError(f"context {context}: the model supports {supported} tokens")
    return supported
