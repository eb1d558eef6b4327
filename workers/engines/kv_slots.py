"""The keys and values of every row: one fixed block of memory per layer, made once at start.

What lies in a row past the tokens written there is left over from earlier turns: readers mask it.
A masked NaN still poisons a weighted sum, so a row that may hold one is cleared.
"""

import torch
from transformers import LlamaConfig


class KvSlots:
    """Keys and values, each ``(rows, kv_heads, context, head_dim)`` per layer."""

    def __init__(
        self,
        config: LlamaConfig,
        *,
        rows: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        heads, width = kv_shape(config)
        shape = (rows, heads, context, width)
        layers = range(config.num_hidden_layers)
        self.rows = rows
        self.context = context
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]

    def copy(self, *, source: int, target: int, length: int) -> None:
        """Give ``target`` the first ``length`` tokens of ``source``."""
        for slots in (*self.keys, *self.values):
            slots[target, :, :length] = slots[source, :, :length]

    def clear(self, row: int) -> None:
        """Make every number of a row finite again."""
        for slots in (*self.keys, *self.values):
            slots[row] = 0


def kv_shape(config: LlamaConfig) -> tuple[int, int]:
    """Return how many key-value heads a layer has, and how wide each is."""
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    return config.num_key_value_heads or config.num_attention_heads, width


def bytes_per_token(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Return what one token's keys and values take, over all layers."""
    heads, width = kv_shape(config)
    return 2 * config.num_hidden_layers * heads * width * dtype.itemsize
