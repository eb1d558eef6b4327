"""Choose the next token of each turn from the model's logits.

A draw is the likeliest token after noise was added that hangs on seed, place and token alone. So a
turn says the same thing whoever shares its batch and wherever it was resumed, as long as the logits
are the same; and a last bit in which they are not matters only where two tokens are that close.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines import noise
from turnstream.workers.engines.penalties import Penalties
from turnstream.workers.engines.upload import upload

#: Slots of a vocabulary that a CPU looks at together: few enough to stay in its cache.
CPU_ROWS = 4
#: A float32 that a logit can be divided by.
COLDEST = 1e-30
#: Stands for the token that cannot be chosen.
NOT_A_NUMBER = -1


@dataclass(frozen=True, slots=True)
class Ask:
    """How one turn wants its next token chosen."""

    sampling: SamplingParams
    #: Where the token will stand in prompt plus output.
    position: int
    penalties: Penalties | None = None


def choose(logits: Tensor, asks: Sequence[Ask]) -> Tensor:
    """Choose one token per turn, without waiting for a GPU to have chosen.

    Args:
        logits: ``(turns, vocabulary)``.

    Returns:
        ``(turns,)`` int64: ids of tokens, `NOT_A_NUMBER` where the logits are not numbers.
    """
    best, ids = logits.max(dim=-1)
    # Only the rows that draw or have penalties pay for it.
    special = [n for n, ask in enumerate(asks) if ask.sampling.temperature > 0 or ask.penalties]
    at_once = CPU_ROWS if logits.device.type == "cpu" else len(asks)
    for first in range(0, len(special), at_once):
        some = special[first : first + at_once]
        at = upload(some, logits.device)
        ids[at] = _choose(logits[at].float(), [asks[n] for n in some])
    # The maximum is NaN when any logit is.
    return ids.masked_fill_(~best.isfinite(), NOT_A_NUMBER)


def _choose(logits: Tensor, asks: Sequence[Ask]) -> Tensor:
    for row, ask in zip(logits, asks, strict=True):
        if ask.penalties:
            ask.penalties.apply(row)
    ids = logits.argmax(dim=-1)
    size = logits.shape[-1]
    for limited, draw in ((False, _draw_from_all), (True, _draw_from_likeliest)):
        rows = [
            n
            for n, ask in enumerate(asks)
            if ask.sampling.temperature > 0 and _limited(ask.sampling, size) is limited
        ]
        if rows:
            samplings = [asks[n].sampling for n in rows]
            heat = _column([max(s.temperature, COLDEST) for s in samplings], logits)
            at = upload(rows, logits.device)
            drawing = logits if len(rows) == len(asks) else logits[at]
            scaled = (drawing - drawing.amax(dim=-1, keepdim=True)).div_(heat)
            places = ((asks[n].sampling.seed, asks[n].position) for n in rows)
            ids[at] = draw(scaled, noise.keys(places, logits.device), samplings)
    return ids


def _limited(sampling: SamplingParams, size: int) -> bool:
    return 0 < sampling.top_k < size or sampling.top_p < 1


def _draw_from_all(scaled: Tensor, keys: Tensor, _: Sequence[SamplingParams]) -> Tensor:
    every = torch.arange(scaled.shape[-1], dtype=torch.int32, device=scaled.device)
    return _noisy(scaled, keys, every).argmax(dim=-1)


def _draw_from_likeliest(
    scaled: Tensor, keys: Tensor, samplings: Sequence[SamplingParams]
) -> Tensor:
    """Draw from ``top_k`` tokens, of these from the fewest that hold ``top_p`` of their weight."""
    size = scaled.shape[-1]
    top_p = _column([sampling.top_p for sampling in samplings], scaled).double()
    top_k = upload([[min(s.top_k or size, size)] for s in samplings], scaled.device)
    whole = scaled.exp().sum(dim=-1, keepdim=True, dtype=torch.float64)
    sort = _sort_candidates if scaled.device.type == "cpu" else _sort_all
    values, known = sort(scaled, top_k, (1 - top_p) * whole / size)

    rank = torch.arange(values.shape[-1], device=values.device)
    weights = values.exp().double() * (rank < top_k)
    sums = weights.cumsum(dim=-1)
    whole = torch.where(top_k < size, sums[:, -1:], whole)
    left_out = (rank >= top_k) | (sums - weights >= top_p * whole)
    left_out[:, 0] = False
    noisy = _noisy(values, keys, known).masked_fill_(left_out, float("-inf"))
    return known.gather(-1, noisy.argmax(dim=-1, keepdim=True))[:, 0].long()


def _sort_all(scaled: Tensor, top_k: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row by weight, of equals the lower id first; return values and ids."""
    values, ids = scaled.sort(dim=-1, descending=True, stable=True)
    return values, ids.int()


def _sort_candidates(scaled: Tensor, top_k: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Sort only what may be drawn: for a CPU, to which a vocabulary is as much as the model.

    Args:
        top_k: ``(draws, 1)``.
        least: ``(draws, 1)``: all tokens of a smaller weight do not hold together what `top_p`
            leaves out, so none of them is drawn.

    Returns:
        Values and ids, each ``(draws, the most candidates)``; no weight where there are fewer.
    """
    size = scaled.shape[-1]
    candidates = scaled.exp() >= least
    ruled = (top_k[:, 0] < size).nonzero()[:, 0]
    if len(ruled):
        some = scaled[ruled]
        most = some.topk(int(top_k[ruled].max())).values
        candidates[ruled] = some >= most.gather(-1, top_k[ruled] - 1)

    # Side by side, by id; then by weight.
    rows, ids = candidates.nonzero(as_tuple=True)
    counts = candidates.sum(dim=-1)
    width = max(1, int(counts.max()))
    places = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    values = scaled.new_full((len(scaled), width), float("-inf"))
    values[rows, places] = scaled[rows, ids]
    known = torch.zeros_like(values, dtype=torch.int32)
    known[rows, places] = ids.int()
    values, order = values.sort(dim=-1, descending=True, stable=True)
    return values, known.gather(-1, order)


def _noisy(scaled: Tensor, keys: Tensor, ids: Tensor) -> Tensor:
    # In float64, which adds no rounding of its own that would make two of them equal.
    return scaled.double().add_(noise.gumbel(keys, ids))


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return upload(numbers, like.device, torch.float32)[:, None]
