"""The keys and values of all slots, in one block per layer that is allocated at start.

Past its written tokens a slot holds values of earlier turns, which attention masks. A masked NaN
would still make a weighted sum NaN, so a slot that may hold one is cleared.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig


class KvCache:
    """Keys and values, each ``(slots, kv_heads, context, head_dim)`` per layer, and last tokens.

    Args:
        page_tokens: page size for kernels that read pages; tokens are then contiguous in memory
            instead of each head's tokens, and slots have whole pages.
    """

    def __init__(
        self,
        config: LlamaConfig,
        *,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
        page_tokens: int | None = None,
    ) -> None:
        heads, width = kv_shape(config)
        pages = slot_tokens(context, page_tokens) // page_tokens if page_tokens else 0

        def block() -> tuple[Tensor, Tensor]:
            if not page_tokens:
                plain = torch.zeros((slots, heads, context, width), dtype=dtype, device=device)
                return plain, plain
            shape = (slots * pages + 1, page_tokens, heads, width)
            paged = torch.zeros(shape, dtype=dtype, device=device)
            return paged[:-1].view(slots, -1, heads, width).transpose(1, 2), paged

        self.slots = slots
        self.context = context
        layers = range(config.num_hidden_layers)
        self.keys: Sequence[Tensor]
        self.values: Sequence[Tensor]
        #: The same memory in pages, ``(pages, page_tokens, kv_heads, head_dim)`` per layer.
        self.paged_keys: Sequence[Tensor]
        self.paged_values: Sequence[Tensor]
        self.keys, self.paged_keys = zip(*(block() for _ in layers), strict=True)
        self.values, self.paged_values = zip(*(block() for _ in layers), strict=True)
        #: ``(slots + 1, pages of a slot)`` int32: the pages of each slot, and of `scratch`.
        self.table = torch.arange((slots + 1) * pages, dtype=torch.int32, device=device).view(
            slots + 1, pages
        )
        self.table[slots] = slots * pages
        #: The slot that padding writes to; it has one page, and only in a cache with pages.
        self.scratch = slots
        #: How many tokens a slot has room for.
        self.slot_tokens = slot_tokens(context, page_tokens)
        #: ``(slots + 1,)`` int64: the last token chosen for each slot.
        self.last_ids = torch.zeros(slots + 1, dtype=torch.int64, device=device)

    def copy(self, *, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens from one slot to another."""
        for block in (*self.keys, *self.values):
            block[target, :, :length] = block[source, :, :length]

    def clear(self, slot: int) -> None:
        """Set all keys and values of a slot to 0."""
        for block in (*self.keys, *self.values):
            block[slot] = 0


def kv_shape(config: LlamaConfig) -> tuple[int, int]:
    """Return the number of key-value heads of a layer, and their width."""
    # Qwen 2's config has no width at all, since it is never anything else.
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # Nor have older families, which vLLM runs, heads that share keys.
    shared = getattr(config, "num_key_value_heads", None)
    return shared or config.num_attention_heads, width


def slot_tokens(context: int, page_tokens: int | None) -> int:
    """Return how many tokens are allocated for a slot: whole pages, if there are pages."""
    return math.ceil(context / page_tokens) * page_tokens if page_tokens else context


def bytes_per_token(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Return the size of one token's keys and values in all layers."""
    heads, width = kv_shape(config)
    return 2 * config.num_hidden_layers * heads * width * dtype.itemsize
