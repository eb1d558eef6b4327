"""One step of the model over many turns at once: the tokens packed end to end, attention apart.

A step is a single sequence for every linear layer, however many turns it serves. Only attention
must know whose token is whose, and it learns that from the `Step`, which the model hands through
to `slot_attention` untouched; transformers therefore builds no mask and keeps no cache of its own.
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
from turnstream.workers.engines.upload import upload

#: What `slot_attention` is called in transformers' table of attention functions.
ATTENTION = "turnstream_slots"
#: Stands for the token that was chosen last for a row, where only the device knows it yet.
LATEST = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some neighbouring tokens of one turn that are new to its row."""

    row: int
    #: How many tokens of the turn the row holds already.
    start: int
    ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Neighbouring rows that each bring one token."""

    tokens: slice
    rows: slice
    #: The longest row's tokens, the new one included.
    length: int
    #: ``(rows, 1, 1, length)`` bool: what lies past a row's own end.
    hidden: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A piece of one prompt."""

    tokens: slice
    row: int
    #: The row's tokens, the piece included.
    length: int
    #: ``(size, length)`` bool: what each token of the piece may look at; None at a prompt's start.
    seen: Tensor | None


class Step(ABC):
    """What one pass of the model works on."""

    cache: KvCache
    #: Each ``(tokens,)`` int64.
    ids: Tensor
    positions: Tensor
    rows: Tensor

    def hidden(self, model: LlamaForCausalLM) -> Tensor:
        """Run the model up to its head, ``(tokens, hidden_size)``."""
        out: Tensor = model.model(
            input_ids=self.ids[None],
            position_ids=self.positions[None],
            use_cache=False,
            step=self,
        ).last_hidden_state[0]
        return out

    @abstractmethod
    def look(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Let every token look at its own row, itself included.

        Args:
            query: ``(1, heads, tokens, head_dim)``.
            keys: ``(rows, kv_heads, context, head_dim)``, like ``values``.

        Returns:
            ``(tokens, heads, head_dim)``.
        """


class PackedStep(Step):
    """The tokens of any turns, end to end.

    Args:
        parts: every row at most once.
    """

    def __init__(self, cache: KvCache, parts: Sequence[Part], device: torch.device) -> None:
        singles = sorted((part for part in parts if len(part.ids) == 1), key=lambda part: part.row)
        pieces = [part for part in parts if len(part.ids) > 1]
        self.cache = cache
        #: The parts in the order of their tokens.
        self.parts = [*singles, *pieces]

        ids = [id for part in self.parts for id in part.ids]
        positions = [part.start + n for part in self.parts for n in range(len(part.ids))]
        rows = [part.row for part in self.parts for _ in part.ids]
        self.ids, self.positions, self.rows = upload([ids, positions, rows], device).unbind()
        if LATEST in ids:
            self.ids = torch.where(self.ids == LATEST, cache.latest[self.rows], self.ids)

        #: How many tokens, the first ones, are their row's only new ones.
        self.singles = len(singles)
        self.stretches = _stretches(pieces, len(singles), device)

    @cached_property
    def runs(self) -> list["_Run"]:
        """The single tokens, by rows that lie side by side."""
        return _runs(self.parts[: self.singles], self.ids.device)

    def look(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """Let every token look at its own row; see `Step.look`."""
        queries = query[0].transpose(0, 1)
        out = torch.empty_like(queries, memory_format=torch.contiguous_format)
        for run in self.runs:
            rows = (run.rows, slice(None), slice(run.length))
            out[run.tokens] = _look_back(
                queries[run.tokens], keys[rows], values[rows], run.hidden, scaling
            )
        for stretch in self.stretches:
            out[stretch.tokens] = look_around(stretch, query, keys, values, scaling)
        return out

    def last_tokens(self, parts: Sequence[Part]) -> Tensor:
        """Return where each of these parts ends among the step's tokens, ``(parts,)`` int64."""
        ends: dict[int, int] = {}
        end = 0
        for part in self.parts:
            end += len(part.ids)
            ends[part.row] = end - 1
        return upload([ends[part.row] for part in parts], self.ids.device)


def _runs(singles: Sequence[Part], device: torch.device) -> list[_Run]:
    """Cut the rows into runs without a gap, so that their slots are read where they lie."""
    runs: list[_Run] = []
    first = 0
    for n, part in enumerate(singles):
        if n + 1 < len(singles) and singles[n + 1].row == part.row + 1:
            continue
        lengths = torch.tensor([single.start + 1 for single in singles[first : n + 1]])
        length = int(lengths.max())
        hidden = torch.arange(length) >= lengths[:, None]
        runs.append(
            _Run(
                tokens=slice(first, n + 1),
                rows=slice(singles[first].row, part.row + 1),
                length=length,
                hidden=hidden[:, None, None].to(device, non_blocking=True),
            )
        )
        first = n + 1
    return runs


def _stretches(pieces: Sequence[Part], first: int, device: torch.device) -> list[Stretch]:
    stretches: list[Stretch] = []
    for part in pieces:
        size = len(part.ids)
        length = part.start + size
        seen = None
        if part.start:
            seen = torch.ones(size, length, dtype=torch.bool, device=device).tril(part.start)
        tokens = slice(first, first + size)
        stretches.append(Stretch(tokens=tokens, row=part.row, length=length, seen=seen))
        first += size
    return stretches


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
    """Store the step's keys and values in their rows, then let every token look at its own row.

    Args:
        module: the attention layer.
        query: ``(1, heads, tokens, head_dim)``, rotated already.
        key: ``(1, kv_heads, tokens, head_dim)``, rotated already.
        value: like ``key``.
        attention_mask: None always; the step knows.

    Returns:
        ``(1, tokens, heads, head_dim)``, and no weights.
    """
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    keys, values = step.cache.keys[layer], step.cache.values[layer]
    keys[step.rows, :, step.positions] = key[0].transpose(0, 1)
    values[step.rows, :, step.positions] = value[0].transpose(0, 1)
    return step.look(query, keys, values, scaling)[None], None


def look_around(
    stretch: Stretch, query: Tensor, keys: Tensor, values: Tensor, scaling: float
) -> Tensor:
    """Let the tokens of a stretch look at their row, the stretch included.

    Args:
        query: ``(1, heads, tokens, head_dim)``: those of the whole step.
        keys: ``(rows, kv_heads, context, head_dim)``, like ``values``.

    Returns:
        ``(size, heads, head_dim)``.
    """
    row = (slice(stretch.row, stretch.row + 1), slice(None), slice(stretch.length))
    answer = nn.functional.scaled_dot_product_attention(
        query[:, :, stretch.tokens],
        keys[row],
        values[row],
        attn_mask=stretch.seen,
        is_causal=stretch.seen is None,
        scale=scaling,
        enable_gqa=query.shape[1] != keys.shape[1],
    )
    return answer[0].transpose(0, 1)


def _look_back(
    queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor, scaling: float
) -> Tensor:
    """Attend with one query per row, ``(rows, heads, head_dim)`` in and out.

    The ready-made attention kernels are slow on a CPU for a single query; two plain products are
    not.
    """
    rows, heads, width = queries.shape
    grouped = queries.reshape(rows, keys.shape[1], -1, width)
    if keys.dtype is torch.bfloat16:
        # Twice as fast on a CPU as the product the other way round; in float32 it is the reverse.
        scores = torch.matmul(keys, grouped.transpose(2, 3)).transpose(2, 3)
    else:
        scores = torch.matmul(grouped, keys.transpose(2, 3))
    scores = scores.float() * scaling
    weights = scores.masked_fill_(hidden, float("-inf")).softmax(dim=-1)
    return torch.matmul(weights.to(values.dtype), values).reshape(rows, heads, width)


def register() -> None:
    """Make `slot_attention` known to transformers; doing it again changes nothing."""
    AttentionInterface.register(ATTENTION, slot_attention)
