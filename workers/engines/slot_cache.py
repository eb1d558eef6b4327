"""A cache in which each slot's tokens are contiguous, for kernels that read no pages.

On a CPU a slot reserves only addresses: the system gives memory where something is written, and
takes it back from slots that have less than they had. Elsewhere a slot has room for a whole context
from the start.
"""

import math
import mmap
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor
from transformers import LlamaConfig

from turnstream.workers.engines.kv_cache import Copy, KvCache, kv_shape

#: Tokens by which a slot's memory is counted.
PAGE_TOKENS = 64


class SlotCache(KvCache):
    """Keys and values, each ``(slots, kv_heads, context, head_dim)`` per layer."""

    shares_pages = False

    def __init__(
        self,
        config: LlamaConfig,
        *,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
        pages: int | None = None,
    ) -> None:
        super().__init__(
            slots=slots, context=context, page_tokens=PAGE_TOKENS, pages=pages, device=device
        )
        heads, width = kv_shape(config)
        shape = (slots, heads, context, width)
        #: Whether memory must be taken back before others can have it.
        self._short = self.pages < slots * self.slot_pages
        self._memory: list[mmap.mmap] = []
        layers = range(config.num_hidden_layers)
        self.keys = [self._block(shape, dtype) for _ in layers]
        self.values = [self._block(shape, dtype) for _ in layers]

    def write(
        self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor
    ) -> None:
        """Write some tokens; see `KvCache.write`."""
        self.keys[layer][slots, :, positions] = keys
        self.values[layer][slots, :, positions] = values

    def read(self, layer: int, slots: slice, length: int) -> tuple[Tensor, Tensor]:
        """Return keys and values where they are; see `KvCache.read`."""
        return self.keys[layer][slots, :, :length], self.values[layer][slots, :, :length]

    def copy(self, copy: Copy) -> None:
        """Copy the first tokens of a slot to another; see `KvCache.copy`."""
        for block in (*self.keys, *self.values):
            block[copy.target, :, : copy.tokens] = block[copy.source, :, : copy.tokens]

    def place(self, slot: int, pages: Sequence[int]) -> None:
        """Do nothing: a slot's tokens have their places already."""

    def shrink(self, slot: int, pages: int) -> None:
        """Give memory back to the system; see `KvCache.shrink`."""
        if not self._short:
            return
        for block, memory in zip((*self.keys, *self.values), self._memory, strict=False):
            _, heads, context, width = block.shape
            kept = min(pages * self.page_tokens, context)
            strip = context * width * block.element_size()
            start = slot * heads * strip
            if kept == 0:
                _give_back(memory, start, start + heads * strip)
                continue
            used = kept * width * block.element_size()
            for head in range(heads):
                _give_back(memory, start + head * strip + used, start + (head + 1) * strip)

    def clear(self, slot: int, pages: Sequence[int]) -> None:
        """Set all keys and values of a slot to 0; see `KvCache.clear`."""
        for block in (*self.keys, *self.values):
            block[slot] = 0

    def _block(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self.device.type != "cpu":
            return torch.zeros(shape, dtype=dtype, device=self.device)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=flags)
        if self._short:
            # A huge page would hold tokens of many heads, of which few are written. A system
            # without huge pages refuses this, one that is not Linux has no name for it.
            with suppress(OSError, AttributeError):
                memory.madvise(mmap.MADV_NOHUGEPAGE)
        self._memory.append(memory)
        return torch.frombuffer(memory, dtype=dtype).view(shape)


def _give_back(memory: mmap.mmap, start: int, end: int) -> None:
    """Give the system's pages within a range back; they are read as 0 then."""
    first = math.ceil(start / mmap.PAGESIZE) * mmap.PAGESIZE
    size = end // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0 and hasattr(mmap, "MADV_DONTNEED"):
        memory.madvise(mmap.MADV_DONTNEED, first, size)
