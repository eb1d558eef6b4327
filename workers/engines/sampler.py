"""Choose the next token of each turn from the model's logits.

A draw is the likeliest token after noise was added that hangs on seed, place and token alone. So a
turn says the same thing whoever shares its batch and wherever it was resumed, as long as the logits
are the same; and a last bit in which they are not matters only where two tokens are that close.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.engine import Sampling
from workers.engines import noise
from workers.engines.penalties import Penalties

#: Rows of a vocabulary that a CPU looks at together: few enough to stay in its cache.
CPU_ROWS = 4
#: A float32 that a logit can be divided by.
COLDEST = 1e-30


@dataclass(frozen=True, slots=True)
class Ask:
    """How one turn wants its next token chosen."""

    sampling: Sampling
    #: Where the token will stand in prompt plus output.
    position: int
    penalties: Penalties | None = None


def choose(logits: Tensor, asks: Sequence[Ask]) -> list[int | None]:
    """Choose one token per turn.

    Args:
        logits: ``(turns, vocabulary)``.

    Returns:
        A token id per turn, None where the logits are not numbers.
    """
    best, ids = logits.max(dim=-1)
    # Only the rows that draw or have penalties pay for it.
    special = [n for n, ask in enumerate(asks) if ask.sampling.temperature > 0 or ask.penalties]
    at_once = CPU_ROWS if logits.device.type == "cpu" else len(asks)
    for first in range(0, len(special), at_once):
        some = special[first : first + at_once]
        ids[some] = _choose(logits[some].float(), [asks[n] for n in some])
    # The maximum is NaN when any logit is.
    ids[~best.isfinite()] = -1
    return [None if id < 0 else id for id in ids.tolist()]


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
            drawing = logits if len(rows) == len(asks) else logits[rows]
            scaled = (drawing - drawing.amax(dim=-1, keepdim=True)).div_(heat)
            places = ((asks[n].sampling.seed, asks[n].position) for n in rows)
            ids[rows] = draw(scaled, noise.keys(places, logits.device), samplings)
    return ids


def _limited(sampling: Sampling, size: int) -> bool:
    return 0 < sampling.top_k < size or sampling.top_p < 1


def _draw_from_all(scaled: Tensor, keys: Tensor, _: Sequence[Sampling]) -> Tensor:
    every = torch.arange(scaled.shape[-1], dtype=torch.int32, device=scaled.device)
    return _noisy(scaled, keys, every).argmax(dim=-1)


def _draw_from_likeliest(scaled: Tensor, keys: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Draw from ``top_k`` tokens, of these from the fewest that hold ``top_p`` of their weight."""
    size = scaled.shape[-1]
    top_p = _column([sampling.top_p for sampling in samplings], scaled).double()
    top_k = torch.tensor([min(s.top_k or size, size) for s in samplings], device=scaled.device)
    top_k = top_k[:, None]
    weights = scaled.exp()
    whole = weights.sum(dim=-1, keepdim=True, dtype=torch.float64)
    # Sorting a whole vocabulary costs as much as the model. All that weigh less than this do not
    # hold together what may be left out, so none of them is drawn.
    candidates = weights >= (1 - top_p) * whole / size
    ruled = [n for n, sampling in enumerate(samplings) if 0 < sampling.top_k < size]
    if ruled:
        most = max(samplings[n].top_k for n in ruled)
        least = scaled[ruled].topk(most).values.gather(-1, top_k[ruled] - 1)
        candidates[ruled] = scaled[ruled] >= least

    # The candidates of each row side by side, by id; then by weight, and of equals the lower first.
    rows, ids = candidates.nonzero(as_tuple=True)
    counts = candidates.sum(dim=-1)
    width = max(1, int(counts.max()))
    places = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    values = scaled.new_full((len(scaled), width), float("-inf"))
    values[rows, places] = scaled[rows, ids]
    known = torch.zeros_like(values, dtype=torch.int32)
    known[rows, places] = ids.int()
    values, order = values.sort(dim=-1, descending=True, stable=True)
    known = known.gather(-1, order)

    rank = torch.arange(width, device=values.device)
    weights = values.exp().double() * (rank < top_k)
    sums = weights.cumsum(dim=-1)
    whole = torch.where(top_k < size, sums[:, -1:], whole)
    left_out = (rank >= top_k) | (sums - weights >= top_p * whole)
    left_out[:, 0] = False
    noisy = _noisy(values, keys, known).masked_fill_(left_out, float("-inf"))
    return known.gather(-1, noisy.argmax(dim=-1, keepdim=True))[:, 0].long()


def _noisy(scaled: Tensor, keys: Tensor, ids: Tensor) -> Tensor:
    # In float64, which adds no rounding of its own that would make two of them equal.
    return scaled.double().add_(noise.gumbel(keys, ids))


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32, device=like.device)[:, None]
