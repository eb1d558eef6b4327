"""What every cache of keys and values can do, whatever its layout.

Its memory is counted in pages of some tokens, and a slot has as many as its text needs. Past its
written tokens a slot holds values of earlier turns, which attention masks. A masked NaN would still
make a weighted sum NaN, so a slot that may hold one is cleared.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlamaConfig


class Copy(NamedTuple):
    """Tokens to copy within a cache before a turn starts."""

    #: A page where slots share pages, else a slot; like `target`.
    source: int
    target: int
    #: How many tokens, the first ones.
    tokens: int


class KvCache(ABC):
    """Keys and values of the turns in all slots.

    Args:
        page_tokens: tokens of a page.
        pages: how many there are; None has enough for a whole context in every slot.
    """

    #: Whether a page may belong to several slots.
    shares_pages: bool

    def __init__(
        self,
        *,
        slots: int,
        context: int,
        page_tokens: int,
        pages: int | None,
        device: torch.device,
    ) -> None:
        self.slots = slots
        self.context = context
        self.page_tokens = page_tokens
        #: How many pages a whole context has.
        self.slot_pages = math.ceil(context / page_tokens)
        #: How many pages all slots have together.
        self.pages = slots * self.slot_pages if pages is None else pages
        if self.pages < self.slot_pages + slots - 1:
            # One turn can always have a whole context, and each other at least a page.
            raise ValueError(f"{self.pages} pages for {slots} slots and a context of {context}")
        self.device = device
        #: ``(slots + 1,)`` int64: the last token chosen for each slot.
        self.last_ids = torch.zeros(slots + 1, dtype=torch.int64, device=device)

    @abstractmethod
    def write(
        self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor
    ) -> None:
        """Write the keys and values of some tokens, each ``(tokens, kv_heads, head_dim)``.

        Args:
            slots: ``(tokens,)`` int64: the slot of each, like ``positions`` in it.
        """

    @abstractmethod
    def read(self, layer: int, slots: slice, length: int) -> tuple[Tensor, Tensor]:
        """Return the first keys and values of neighbouring slots.

        Returns:
            Each ``(slots, kv_heads, length, head_dim)``; to be read only.
        """

    @abstractmethod
    def copy(self, copy: Copy) -> None:
        """Copy tokens to another slot or page."""

    @abstractmethod
    def place(self, slot: int, pages: Sequence[int]) -> None:
        """Note that a slot has these pages, in the order of its tokens."""

    @abstractmethod
    def shrink(self, slot: int, pages: int) -> None:
        """Note that a slot keeps only so many of its pages, the first ones."""

    @abstractmethod
    def clear(self, slot: int, pages: Sequence[int]) -> None:
        """Set all keys and values of a slot to 0; these pages are its own only."""


def kv_shape(config: LlamaConfig) -> tuple[int, int]:
    """Return the number of key-value heads of a layer, and their width."""
    # Qwen 2's config has no width at all, since it is never anything else.
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_key_value_heads or config.num_attention_heads, width


def bytes_per_token(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Return the size of one token's keys and values in all layers."""
    heads, width = kv_shape(config)
    return 2 * config.num_hidden_layers * heads * width * dtype.itemsize
