"""A cache in pages that lie anywhere, for kernels that find a slot's pages in a table.

A page may belong to several slots: where their texts begin alike, nothing is copied but the last
page that is not full.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig

from turnstream.workers.engines.kv_cache import Copy, KvCache, kv_shape
from turnstream.workers.engines.to_device import to_device


class PagedCache(KvCache):
    """Keys and values, each ``(pages + 1, page_tokens, kv_heads, head_dim)`` per layer."""

    shares_pages = True

    def __init__(
        self,
        config: LlamaConfig,
        *,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
        page_tokens: int,
        pages: int | None = None,
    ) -> None:
        super().__init__(
            slots=slots, context=context, page_tokens=page_tokens, pages=pages, device=device
        )
        shape = (self.pages + 1, page_tokens, *kv_shape(config))
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        #: ``(slots + 1, pages of a context)`` int32: the pages of each slot, and of `scratch`.
        #: Behind a slot's own pages it may have any others.
        self.table = torch.full(
            (slots + 1, self.slot_pages), self.pages, dtype=torch.int32, device=device
        )
        #: The slot that padding writes to; it has the last page only.
        self.scratch = slots

    def rows(self, slots: Tensor, positions: Tensor) -> Tensor:
        """Return where tokens are, in pages laid end to end; see `KvCache.write`."""
        pages = self.table[slots, positions // self.page_tokens].long()
        return pages * self.page_tokens + positions % self.page_tokens

    def write(
        self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor
    ) -> None:
        """Write some tokens; see `KvCache.write`."""
        self.write_rows(layer, self.rows(slots, positions), keys, values)

    def write_rows(self, layer: int, rows: Tensor, keys: Tensor, values: Tensor) -> None:
        """Write some tokens to where `rows` says."""
        self.keys[layer].flatten(0, 1).index_copy_(0, rows, keys)
        self.values[layer].flatten(0, 1).index_copy_(0, rows, values)

    def read(self, layer: int, slots: slice, length: int) -> tuple[Tensor, Tensor]:
        """Return a copy of keys and values; see `KvCache.read`."""
        pages = self.table[slots, : -(-length // self.page_tokens)]
        keys, values = (
            block[pages].flatten(1, 2)[:, :length].transpose(1, 2)
            for block in (self.keys[layer], self.values[layer])
        )
        return keys, values

    def copy(self, copy: Copy) -> None:
        """Copy the first tokens of a page to another; see `KvCache.copy`."""
        for block in (*self.keys, *self.values):
            block[copy.target, : copy.tokens] = block[copy.source, : copy.tokens]

    def place(self, slot: int, pages: Sequence[int]) -> None:
        """Write a slot's pages to the table; see `KvCache.place`."""
        self.table[slot, : len(pages)] = to_device(pages, self.device, torch.int32)

    def shrink(self, slot: int, pages: int) -> None:
        """Do nothing: a page that no slot has can be any slot's next one."""

    def clear(self, slot: int, pages: Sequence[int]) -> None:
        """Set the pages of a slot to 0; see `KvCache.clear`."""
        at = to_device(pages, self.device)
        for block in (*self.keys, *self.values):
            block.index_fill_(0, at, 0)
