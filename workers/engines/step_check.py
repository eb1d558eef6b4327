"""Compare attention and steps with references before an engine uses them.

Kernels may be wrong without any error, for some sizes and lengths only. So lengths and tokens are
unequal, and each row is compared by itself: an average would hide one wrong turn among many.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from turnstream.workers.engines.attention import NewTokens, PackedStep
from turnstream.workers.engines.kv_cache import kv_shape
from turnstream.workers.engines.paged_cache import PagedCache
from turnstream.workers.engines.paged_step import Layout, PagedAttention, slot_room

#: The largest mean difference of a row, in standard deviations of the row.
TOLERANCE = 0.05
#: Tokens of a slot, around the size of a page and beyond it.
LENGTHS = (1, 255, 257, 2000)
#: Tokens that one turn computes at once: a token of an answer, and pieces of a prompt.
SIZES = (1, 70)
#: The most prompt tokens that the reference computes at once.
_PIECE = 512


def row_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest mean difference of a row, in standard deviations of the row.

    Args:
        found: ``(rows, values)``, like ``expected``; NaN gives NaN.
    """
    found, expected = found.float(), expected.float()
    return float(((found - expected).abs().mean(-1) / expected.std(-1)).max())


def attention_differences(
    attend: PagedAttention,
    config: LlamaConfig,
    *,
    page_tokens: int,
    dtype: torch.dtype,
    device: torch.device,
    turns: Sequence[int],
    lengths: Sequence[int] = LENGTHS,
) -> Iterator[tuple[str, float]]:
    """Compare attention over random numbers with float32; yield each case and its difference.

    Args:
        turns: numbers of turns; their slots have the lengths one after the other.
    """
    kv_heads, width = kv_shape(config)
    heads = config.num_attention_heads
    pages = math.ceil(max(lengths) / page_tokens)
    generator = torch.Generator().manual_seed(0)

    def random_numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    for count in turns:
        # A slot's pages are in no order.
        order = torch.randperm(count * pages, generator=generator, dtype=torch.int32)
        table = order.view(count, pages).to(device)
        keys, values = (
            random_numbers(count * pages, page_tokens, kv_heads, width) for _ in range(2)
        )
        for size in SIZES:
            used = [max(lengths[n % len(lengths)], size) for n in range(count)]
            queries = random_numbers(count * size, heads, width)
            found = attend(
                queries,
                keys,
                values,
                starts=torch.arange(0, count * size + 1, size, dtype=torch.int32, device=device),
                longest=size,
                table=table,
                lengths=torch.tensor(used, dtype=torch.int32, device=device),
                room=slot_room(table, page_tokens),
                scaling=width**-0.5,
            )
            expected = torch.cat(
                [
                    _attention(
                        queries[n * size : (n + 1) * size],
                        keys[table[n]].flatten(0, 1)[:length],
                        values[table[n]].flatten(0, 1)[:length],
                    )
                    for n, length in enumerate(used)
                ]
            )
            case = f"{count} turns × {size} tokens, slots of {_listed(used)}"
            yield case, row_difference(found.flatten(0, 1), expected.flatten(0, 1))


def check_attention(differences: Iterator[tuple[str, float]]) -> None:
    """Raise ValueError if attention differs anywhere."""
    for case, off in differences:
        if not off < TOLERANCE:
            raise ValueError(f"attention is off by {off:.2f} for {case}")


class StepCheck:
    """Compares the logits of steps with the model's own attention over the same cache.

    It writes to the cache, so it is used before the first turn.
    """

    def __init__(self, model: LlamaForCausalLM, cache: PagedCache) -> None:
        self._model = model
        self._cache = cache
        ids = random.Random(0)
        #: For how many tokens each slot has pages.
        self._room = _place(cache, ids)
        # The first slot has more than half of the context, the second more than a page if it can.
        wanted = [
            cache.context // 2 + 3,
            cache.page_tokens + 1,
            *(3 + 11 * n % 40 for n in range(cache.slots)),
        ]
        self._lengths = [min(pair) - 1 for pair in zip(wanted, self._room, strict=False)]
        for slot, length in enumerate(self._lengths):
            for start in range(0, length, _PIECE):
                size = min(_PIECE, length - start)
                self._hidden([NewTokens(slot=slot, start=start, ids=self._draw(ids, size))])

    def check(self, logits: Callable[[Sequence[NewTokens]], Tensor], layout: Layout) -> None:
        """Raise ValueError unless a function computes the model's logits for a full step."""
        ids = random.Random(layout.tokens)
        new_tokens: list[NewTokens] = []
        spare = layout.tokens - layout.turns
        for slot in range(layout.turns):
            start = self._lengths[slot]
            size = 1
            if layout.longest > 1:
                size += min(spare, layout.longest - 1, self._room[slot] - start - 1)
                spare -= size - 1
            new_tokens.append(NewTokens(slot=slot, start=start, ids=self._draw(ids, size)))
        step = PackedStep(self._cache, new_tokens, self._model.device)
        last = step.last_tokens(range(layout.turns))
        expected = self._model.lm_head(step.hidden(self._model)[last])
        off = row_difference(logits(new_tokens), expected)
        if not off < TOLERANCE:
            raise ValueError(f"logits are off by {off:.2f}")

    def _hidden(self, new_tokens: Sequence[NewTokens]) -> None:
        PackedStep(self._cache, new_tokens, self._model.device).hidden(self._model)

    def _draw(self, ids: random.Random, count: int) -> list[int]:
        return [ids.randrange(self._model.config.vocab_size) for _ in range(count)]


def _place(cache: PagedCache, order: random.Random) -> list[int]:
    """Give the first slot pages for a whole context and the others equally many of the rest.

    Returns:
        The tokens that each slot has pages for.
    """
    pages = list(range(cache.pages))
    order.shuffle(pages)
    others = (cache.pages - cache.slot_pages) // max(cache.slots - 1, 1)
    room = []
    for slot in range(cache.slots):
        count = min(others, cache.slot_pages) if slot else cache.slot_pages
        cache.place(slot, pages[:count])
        del pages[:count]
        room.append(min(count * cache.page_tokens, cache.context))
    return room


def _attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend in float32 from the last tokens of a slot to all before them.

    Args:
        queries: ``(size, heads, head_dim)``.
        keys: ``(length, kv_heads, head_dim)``, like ``values``.
    """
    shared = queries.shape[1] // keys.shape[1]
    q = queries.float().transpose(0, 1)
    k, v = (each.float().transpose(0, 1).repeat_interleave(shared, 0) for each in (keys, values))
    size, length = q.shape[1], k.shape[1]
    hidden = torch.ones(size, length, dtype=torch.bool, device=q.device).triu(length - size + 1)
    scores = (q @ k.transpose(1, 2)) * queries.shape[2] ** -0.5
    return (scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v).transpose(0, 1)


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(str(length) for length in sorted(set(lengths)))
