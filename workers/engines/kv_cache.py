"""The keys and values of all slots, in one block per layer that is allocated at start.

Past its written tokens a slot holds values of earlier turns, which attention masks. A masked NaN
would still make a weighted sum NaN, so a slot that may hold one is cleared.
"""

import math

import torch
from torch import Tensor
from transformers import LlamaConfig


class KvCache:
    """Keys and values, each ``(slots, kv_heads, context, head_dim)`` per layer, and last tokens.

    Args:
        page_tokens: page size for kernels that read pages; tokens are then contiguous in memory
            instead of each head's tokens.
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
        pages = math.ceil(context / page_tokens) if page_tokens else 0

        def block() -> Tensor:
            if page_tokens:
                shape = (slots, pages * page_tokens, heads, width)
                return torch.zeros(shape, dtype=dtype, device=device).transpose(1, 2)
            return torch.zeros((slots, heads, context, width), dtype=dtype, device=device)

        self.slots = slots
        self.context = context
        self.keys = [block() for _ in range(config.num_hidden_layers)]
        self.values = [block() for _ in range(config.num_hidden_layers)]
        #: ``(slots, pages)`` int32: the pages of each slot.
        self.table = torch.arange(slots * pages, dtype=torch.int32, device=device).view(
            slots, pages
        )
        self._page_tokens = page_tokens
        #: ``(slots,)`` int64: the last token chosen for each slot.
        self.last_ids = torch.zeros(slots, dtype=torch.int64, device=device)

    def copy(self, *, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens from one slot to another."""
        for block in (*self.keys, *self.values):
            block[target, :, :length] = block[source, :, :length]

    def paged(self, block: Tensor) -> Tensor:
        """Return a layer's keys or values as ``(pages, page_tokens, kv_heads, head_dim)``."""
        return block.transpose(1, 2).unflatten(1, (-1, self._page_tokens)).flatten(0, 1)

    def clear(self, slot: int) -> None:
        """Set all keys and values of a slot to 0."""
        for block in (*self.keys, *self.values):
            block[slot] = 0


def kv_shape(config: LlamaConfig) -> tuple[int, int]:
    """Return the number of key-value heads of a layer, and their width."""
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    return config.num_key_value_heads or config.num_attention_heads, width


def bytes_per_token(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Return the size of one token's keys and values in all layers."""
    heads, width = kv_shape(config)
    return 2 * config.num_hidden_layers * heads * width * dtype.itemsize
