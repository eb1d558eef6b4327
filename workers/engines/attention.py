"""One step of the model over many turns: their tokens packed end to end, with one attention call.

Every linear layer sees a step as a single sequence. Only attention must know which slot a token
belongs to; it gets that from the `Step`, which the model passes unchanged to `slot_attention`.
transformers therefore builds no mask and keeps no cache of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, LlamaForCausalLM

from turnstream.workers.engines.kv_cache import KvCache
from turnstream.workers.engines.to_device import to_device

#: The name of `slot_attention` in transformers' table of attention functions.
ATTENTION = "turnstream_slots"
#: Stands for a slot's last token while only the device knows it.
PENDING_ID = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokens:
    """Consecutive tokens of one turn that are not in its slot yet."""

    slot: int
    #: How many tokens of the turn are in the slot already.
    start: int
    ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SlotRange:
    """Neighbouring slots with one new token each."""

    tokens: slice
    slots: slice
    #: Tokens of the longest slot, the new one included.
    length: int
    #: ``(slots, 1, 1, length)`` bool: the positions past a slot's own end.
    masked: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillChunk:
    """Several tokens of one prompt."""

    tokens: slice
    #: One slot.
    slots: slice
    #: The slot's tokens, the chunk included.
    length: int
    #: ``(size, length)`` bool: the positions that each token attends to; None at a prompt's start.
    visible: Tensor | None


class Step(ABC):
    """The input of one forward pass."""

    cache: KvCache
    #: Each ``(tokens,)`` int64.
    ids: Tensor
    positions: Tensor

    def hidden(self, model: LlamaForCausalLM) -> Tensor:
        """Run the model; return its last hidden states, ``(tokens, hidden_size)``."""
        out: Tensor = model.model(
            input_ids=self.ids[None],
            position_ids=self.positions[None],
            use_cache=False,
            step=self,
        ).last_hidden_state[0]
        return out

    @abstractmethod
    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write the keys and values of the tokens, ``(tokens, kv_heads, head_dim)``, to the cache.

        Their rotary embedding is applied.
        """

    @abstractmethod
    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attend from every token to its own slot, itself included.

        Args:
            query: ``(tokens, heads, head_dim)``, with its rotary embedding applied.

        Returns:
            Like ``query``.
        """


class PackedStep(Step):
    """The new tokens of some turns, end to end.

    Args:
        new_tokens: each slot at most once.
    """

    def __init__(
        self, cache: KvCache, new_tokens: Sequence[NewTokens], device: torch.device
    ) -> None:
        decoding = sorted(
            (new for new in new_tokens if len(new.ids) == 1), key=lambda new: new.slot
        )
        prefilling = [new for new in new_tokens if len(new.ids) > 1]
        self.cache = cache
        #: In the order of the tokens.
        self.new_tokens = [*decoding, *prefilling]

        ids, positions, slots = packed(self.new_tokens)
        #: ``(tokens,)`` int64.
        self.slots: Tensor
        self.ids, self.positions, self.slots = to_device([ids, positions, slots], device).unbind()
        if PENDING_ID in ids:
            self.ids = torch.where(self.ids == PENDING_ID, cache.last_ids[self.slots], self.ids)

        #: How many tokens, the first ones, are the only new one of their slot.
        self.decode_tokens = len(decoding)
        self.chunks = _prefill_chunks(prefilling, len(decoding), device)

    @cached_property
    def ranges(self) -> list["_SlotRange"]:
        """The decode tokens, by ranges of neighbouring slots."""
        return _slot_ranges(self.new_tokens[: self.decode_tokens], self.ids.device)

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write keys and values to their slots; see `Step.store`."""
        self.cache.write(layer, self.slots, self.positions, key, value)

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attend from every token to its own slot; see `Step.attend`."""
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        for some in self.ranges:
            keys, values = self.cache.read(layer, some.slots, some.length)
            out[some.tokens] = _attend_decode(
                query[some.tokens], keys, values, some.masked, scaling
            )
        self.attend_chunks(layer, query, scaling, out)
        return out

    def attend_chunks(self, layer: int, query: Tensor, scaling: float, out: Tensor) -> None:
        """Attend from the tokens of prompts only; write the results to their places in ``out``."""
        for chunk in self.chunks:
            keys, values = self.cache.read(layer, chunk.slots, chunk.length)
            out[chunk.tokens] = attend_chunk(chunk, query, keys, values, scaling)

    def last_tokens(self, slots: Sequence[int]) -> Tensor:
        """Return the index in the step of each slot's last token, ``(slots,)`` int64."""
        ends: dict[int, int] = {}
        end = 0
        for new in self.new_tokens:
            end += len(new.ids)
            ends[new.slot] = end - 1
        return to_device([ends[slot] for slot in slots], self.ids.device)


def packed(new_tokens: Sequence[NewTokens]) -> tuple[list[int], list[int], list[int]]:
    """Return the id, the position and the slot of each token, end to end."""
    ids = [id for new in new_tokens for id in new.ids]
    positions = [new.start + n for new in new_tokens for n in range(len(new.ids))]
    slots = [new.slot for new in new_tokens for _ in new.ids]
    return ids, positions, slots


def _slot_ranges(decoding: Sequence[NewTokens], device: torch.device) -> list[_SlotRange]:
    """Group slots into ranges without a gap, so that their cache is read without a copy."""
    ranges: list[_SlotRange] = []
    first = 0
    for n, new in enumerate(decoding):
        if n + 1 < len(decoding) and decoding[n + 1].slot == new.slot + 1:
            continue
        lengths = torch.tensor([each.start + 1 for each in decoding[first : n + 1]])
        length = int(lengths.max())
        masked = torch.arange(length) >= lengths[:, None]
        ranges.append(
            _SlotRange(
                tokens=slice(first, n + 1),
                slots=slice(decoding[first].slot, new.slot + 1),
                length=length,
                masked=masked[:, None, None].to(device, non_blocking=True),
            )
        )
        first = n + 1
    return ranges


def _prefill_chunks(
    prefilling: Sequence[NewTokens], first: int, device: torch.device
) -> list[PrefillChunk]:
    chunks: list[PrefillChunk] = []
    for new in prefilling:
        size = len(new.ids)
        length = new.start + size
        visible = None
        if new.start:
            visible = torch.ones(size, length, dtype=torch.bool, device=device).tril(new.start)
        tokens = slice(first, first + size)
        slots = slice(new.slot, new.slot + 1)
        chunks.append(PrefillChunk(tokens=tokens, slots=slots, length=length, visible=visible))
        first += size
    return chunks


def slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    step: Step,
    **_: Any,
) -> tuple[Tensor, None]:
    """Store the step's keys and values in their slots, then attend from every token to its slot.

    Args:
        module: the attention layer.
        query: ``(1, heads, tokens, head_dim)``, with its rotary embedding applied.
        key: ``(1, kv_heads, tokens, head_dim)``, with its rotary embedding applied.
        value: like ``key``.
        attention_mask: always None; the step replaces it.

    Returns:
        ``(1, tokens, heads, head_dim)``, and no weights.
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    step.store(layer, key[0].transpose(0, 1), value[0].transpose(0, 1))
    return step.attend(layer, query[0].transpose(0, 1), scaling)[None], None


def attend_chunk(
    chunk: PrefillChunk, query: Tensor, keys: Tensor, values: Tensor, scaling: float
) -> Tensor:
    """Attend from the tokens of a chunk to their slot, the chunk included.

    Args:
        query: ``(tokens, heads, head_dim)``, of the whole step.
        keys: ``(1, kv_heads, length, head_dim)``, like ``values``.

    Returns:
        ``(size, heads, head_dim)``.
    """
    shared = query.shape[1] // keys.shape[1]
    if shared > 1 and keys.device.type != "cpu":
        # torch's GPU kernels that take a mask have no shared heads: it would compute all scores in
        # float32 and keep them.
        keys, values = (heads.repeat_interleave(shared, 1) for heads in (keys, values))
    out = nn.functional.scaled_dot_product_attention(
        query[chunk.tokens].transpose(0, 1)[None],
        keys,
        values,
        attn_mask=chunk.visible,
        is_causal=chunk.visible is None,
        scale=scaling,
        enable_gqa=query.shape[1] != keys.shape[1],
    )
    return out[0].transpose(0, 1)


def _attend_decode(
    queries: Tensor, keys: Tensor, values: Tensor, masked: Tensor, scaling: float
) -> Tensor:
    """Attend with one query per slot, ``(slots, heads, head_dim)`` in and out.

    For a single query, two plain matrix products are faster on a CPU than torch's attention
    kernels.
    """
    slots, heads, width = queries.shape
    grouped = queries.reshape(slots, keys.shape[1], -1, width)
    if keys.dtype is torch.bfloat16:
        # On a CPU twice as fast as the transposed product; in float32 it is the reverse.
        scores = torch.matmul(keys, grouped.transpose(2, 3)).transpose(2, 3)
    else:
        scores = torch.matmul(grouped, keys.transpose(2, 3))
    scores = scores.float() * scaling
    weights = scores.masked_fill_(masked, float("-inf")).softmax(dim=-1)
    return torch.matmul(weights.to(values.dtype), values).reshape(slots, heads, width)


def register(model: LlamaForCausalLM) -> None:
    """Register `slot_attention` with transformers, and let a model use it."""
    AttentionInterface.register(ATTENTION, slot_attention)
    model.config._attn_implementation = ATTENTION
