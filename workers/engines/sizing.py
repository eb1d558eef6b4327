"""How many slots and which context fit the memory.

Where slots have pages, each takes whole ones: that is what is counted, not the context alone.
"""

import logging
from typing import NamedTuple

import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.kv_cache import bytes_per_token, slot_tokens

log = logging.getLogger(__name__)

#: A default context is shortened to fit the memory, but not below this.
MIN_CONTEXT_TOKENS = 512
#: The share of the free memory that keys and values may take; the rest is for activations.
KV_SHARE = 0.8


class Size(NamedTuple):
    """What an engine has room for."""

    slots: int
    context: int


def fit(
    config: LlamaConfig,
    dtype: torch.dtype,
    *,
    slots: int,
    context: int | None,
    free: int,
    page_tokens: int | None = None,
    reach: int | None = None,
) -> Size:
    """Return how many slots there are and how many tokens each gets.

    Args:
        context: None takes the model's maximum or what fits, with fewer slots if need be.
        free: bytes of memory.
        page_tokens: page size of slots in pages, which also need one page more.
        reach: the tokens of a sliding window, which the engine does not slide.

    Raises:
        CheckpointError: the context is longer than the model's, or does not fit the memory.
    """
    supported = getattr(config, "max_position_embeddings", None) or context
    if supported is None:
        raise CheckpointError("the model's config names no longest context; set TURNSTREAM_CONTEXT")
    if reach is not None and reach < supported:
        supported = reach
        if context is not None and context > reach:
            raise CheckpointError(
                f"context {context}: the model's sliding window has {reach} tokens; more need"
                " --engine vllm"
            )
        if context is None:
            log.warning(
                "the model's sliding window has %d tokens, which is the context; more than that"
                " needs --engine vllm",
                reach,
            )
    if context is not None and context > supported:
        raise CheckpointError(f"context {context}: the model supports {supported} tokens")
    # Of all slots together.
    tokens = int(free * KV_SHARE) // bytes_per_token(config, dtype) - (page_tokens or 0)
    page = page_tokens or 1
    least = slot_tokens(context or min(supported, MIN_CONTEXT_TOKENS), page_tokens)
    fitting = tokens // slots // page * page
    if context is None and fitting < least <= tokens:
        asked, slots = slots, tokens // least
        fitting = tokens // slots // page * page
        log.warning("the memory has room for %d slots of %d tokens, not %d", slots, least, asked)
    if fitting < least:
        wanted = context or min(supported, MIN_CONTEXT_TOKENS)
        raise CheckpointError(
            f"{slots} slots × {wanted} tokens do not fit the memory; {slots} × {max(fitting, 0)} do"
        )
    return Size(slots, context or min(supported, fitting))
