"""What the device keeps of every slot: keys and values, in one block per layer made once at start.

What lies in a slot past the tokens written there is left over from earlier turns: readers mask it.
A masked NaN still poisons a weighted sum, so a slot that may hold one is cleared.
"""

import math

import torch
from torch import Tensor
from transformers import LlamaConfig


class KvCache:
    """Keys and values, each ``(slots, kv_heads, context, head_dim)`` per layer, and last tokens.

    Args:
        page_tokens: what a slot is read in: its tokens lie side by side then, in whole pages, and
            not each head's for themselves.
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
        #: ``(slots,)`` int64: the token that was chosen last for each slot.
        self.latest = torch.zeros(slots, dtype=torch.int64, device=device)

    def copy(self, *, source: int, target: int, length: int) -> None:
        """Give ``target`` the first ``length`` tokens of ``source``."""
        for slots in (*self.keys, *self.values):
            slots[target, :, :length] = slots[source, :, :length]

    def paged(self, block: Tensor) -> Tensor:
        """Return a layer's keys or values as ``(pages, page_tokens, kv_heads, head_dim)``."""
        return block.transpose(1, 2).unflatten(1, (-1, self._page_tokens)).flatten(0, 1)

    def clear(self, slot: int) -> None:
        """Make every number of a slot finite again."""
        for slots in (*self.keys, *self.values):
            slots[slot] = 0


def kv_shape(config: LlamaConfig) -> tuple[int, int]:
    """Return how many key-value heads a layer has, and how wide each is."""
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    return config.num_key_value_heads or config.num_attention_heads, width


def bytes_per_token(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Return what one token's keys and values take, over all layers."""
    heads, width = kv_shape(config)
    return 2 * config.num_hidden_layers * heads * width * dtype.itemsize
