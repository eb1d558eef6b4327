"""A step over slots in pages: one attention call for decode tokens and prompts together.

Everything that the device must know of a step is one row of integers. Its length depends on the
layout only, so a recorded step is repeated by copying another row into its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from turnstream.workers.engines.attention import PENDING_ID, NewTokens, Step, packed
from turnstream.workers.engines.paged_cache import PagedCache


class PagedAttention(Protocol):
    """Attention over slots in pages."""

    def __call__(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        *,
        starts: Tensor,
        longest: int,
        table: Tensor,
        lengths: Tensor,
        room: Tensor,
        scaling: float,
    ) -> Tensor:
        """Attend from each query to the tokens of its turn, up to its own.

        A turn's queries belong to the last tokens of its slot. The shapes of all operations depend
        on those of the arguments only.

        Args:
            queries: ``(tokens, heads, head_dim)``; those after the last turn's have any result.
            keys: ``(pages, page_tokens, kv_heads, head_dim)``, like ``values``.
            starts: ``(turns + 1,)`` int32: where each turn's queries begin, and the last ones end.
            longest: the most queries that a turn may have; with 1, each has one.
            table: ``(turns, pages of a slot)`` int32: the pages of each turn's slot.
            lengths: ``(turns,)`` int32: the tokens of each turn's slot.
            room: ``(turns + 1,)`` int32: multiples of the tokens that a slot's pages have room for.

        Returns:
            Like ``queries``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of a step; fewer tokens and turns are padded to it."""

    tokens: int
    turns: int
    #: The most tokens of one turn. With 1 there are as many turns as tokens.
    longest: int

    @classmethod
    def of(cls, new_tokens: Sequence[NewTokens]) -> "Layout":
        """Return the layout that fits a step exactly."""
        sizes = [len(new.ids) for new in new_tokens]
        return cls(tokens=sum(sizes), turns=len(sizes), longest=max(sizes))

    def fits(self, other: "Layout") -> bool:
        """Return whether a step of another layout can be padded to this one."""
        return (
            other.tokens <= self.tokens
            and other.turns <= self.turns
            and other.longest <= self.longest
        )

    @property
    def parts(self) -> list[int]:
        """How many integers each part of `row` has."""
        return [self.tokens] * 3 + [self.turns + 1] + [self.turns] * 3

    def row(self, new_tokens: Sequence[NewTokens], *, scratch: int) -> list[int]:
        """Return the integers that describe a step.

        Args:
            scratch: the slot that padding belongs to, so that it reads no more than one token.
        """
        ids, positions, slots = packed(new_tokens)
        spare = self.tokens - len(ids)
        idle = self.turns - len(new_tokens)
        sizes = [len(new.ids) for new in new_tokens] + [int(self.longest == 1)] * idle
        ends = list(accumulate(sizes, initial=0))
        return [
            *ids,
            *[0] * spare,
            *positions,
            *[0] * spare,
            *slots,
            *[scratch] * spare,
            *ends,
            *[new.start + len(new.ids) for new in new_tokens],
            *[1] * idle,
            *[new.slot for new in new_tokens],
            *[scratch] * idle,
            *[end - 1 for end in ends[1:]],
        ]


class PagedStep(Step):
    """The new tokens of some turns, end to end, and padding.

    Args:
        row: ``(sum of the layout's parts,)`` int64, on the device.
    """

    cache: PagedCache

    def __init__(
        self, cache: PagedCache, row: Tensor, layout: Layout, attend: PagedAttention
    ) -> None:
        ids, self.positions, slots, starts, lengths, turn_slots, self._last = row.split(
            layout.parts
        )
        self.cache = cache
        self.ids = torch.where(ids == PENDING_ID, cache.last_ids[slots], ids)
        # All of these are the same for every layer.
        self._rows = cache.rows(slots, self.positions)
        self._starts, self._lengths = starts.int(), lengths.int()
        self._table = cache.table[turn_slots]
        self._room = slot_room(self._table, cache.page_tokens)
        self._longest = layout.longest
        self._attend = attend

    def logits(self, model: LlamaForCausalLM) -> Tensor:
        """Run the model; return the logits at each turn's last token, ``(turns, vocabulary)``."""
        out: Tensor = model.lm_head(self.hidden(model)[self._last])
        return out

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write keys and values to their pages; see `Step.store`."""
        self.cache.write_rows(layer, self._rows, key, value)

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attend from every token to its own slot; see `Step.attend`."""
        return self._attend(
            query,
            self.cache.keys[layer],
            self.cache.values[layer],
            starts=self._starts,
            longest=self._longest,
            table=self._table,
            lengths=self._lengths,
            room=self._room,
            scaling=scaling,
        )


def slot_room(table: Tensor, page_tokens: int) -> Tensor:
    """Return the argument `room` of `PagedAttention`."""
    turns, pages = table.shape
    multiples = torch.arange(turns + 1, dtype=torch.int32, device=table.device)
    return multiples * pages * page_tokens
