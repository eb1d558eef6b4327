"""Choose the next token of each turn from the model's logits.

Sampling is the argmax of logits plus noise that depends on seed, position and token only. So equal
logits give equal answers, in any batch and in any attempt; a difference in the last bit of a logit
matters only where two tokens are that close.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines import gumbel
from turnstream.workers.engines.logit_changes import LogitChanges
from turnstream.workers.engines.to_device import to_device

#: Rows of logits that a CPU processes together: few enough to stay in its cache.
CPU_ROWS = 4
#: The lowest temperature that a float32 logit can be divided by.
MIN_TEMPERATURE = 1e-30
#: How many of the likeliest tokens a GPU sorts first; sorting all of them takes as long as a part
#: of the step.
FIRST_SORTED = 1024
#: Returned where logits are NaN or infinite.
NOT_A_NUMBER = -1
#: Returned where `top_p` leaves more tokens than were sorted. The token is to be chosen again, with
#: `TokenRequest.sort_all`: only the host can decide that, and it knows one step late.
UNDECIDED = -2


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How to choose the next token of one turn."""

    sampling: SamplingParams
    #: The token's position in prompt plus output.
    position: int
    changes: LogitChanges | None = None
    #: Never `UNDECIDED`.
    sort_all: bool = False


def choose(logits: Tensor, requests: Sequence[TokenRequest]) -> Tensor:
    """Choose one token per turn, without waiting for a GPU.

    Args:
        logits: ``(turns, vocabulary)``.

    Returns:
        ``(turns,)`` int64: token ids, `NOT_A_NUMBER`, or `UNDECIDED`, the last on a GPU only.
    """
    best, ids = logits.max(dim=-1)
    # Greedy turns whose logits stay as they are need no more than the argmax.
    special = [
        n
        for n, request in enumerate(requests)
        if request.sampling.temperature > 0 or request.changes
    ]
    at_once = CPU_ROWS if logits.device.type == "cpu" else len(requests)
    for first in range(0, len(special), at_once):
        some = special[first : first + at_once]
        at = to_device(some, logits.device)
        ids[at] = _choose(logits[at].float(), [requests[n] for n in some])
    # The maximum is NaN when any logit is.
    return ids.masked_fill_(~best.isfinite(), NOT_A_NUMBER)


def _choose(logits: Tensor, requests: Sequence[TokenRequest]) -> Tensor:
    for row, request in zip(logits, requests, strict=True):
        if request.changes:
            request.changes.apply(row, request.position)
    ids = logits.argmax(dim=-1)
    sorts = [_sort_of(request, logits) for request in requests]
    for sort in (None, _sort_candidates, _sort_first, _sort_all):
        rows = [
            n
            for n, request in enumerate(requests)
            if request.sampling.temperature > 0 and sorts[n] is sort
        ]
        if rows:
            samplings = [requests[n].sampling for n in rows]
            temperatures = _column([max(s.temperature, MIN_TEMPERATURE) for s in samplings], logits)
            at = to_device(rows, logits.device)
            drawing = logits if len(rows) == len(requests) else logits[at]
            scaled = (drawing - drawing.amax(dim=-1, keepdim=True)).div_(temperatures)
            draws = ((requests[n].sampling.seed, requests[n].position) for n in rows)
            keys = gumbel.draw_keys(draws, logits.device)
            if sort is None:
                ids[at] = _draw_from_all(scaled, keys)
            else:
                ids[at] = _draw_from_likeliest(scaled, keys, samplings, sort)
    return ids


#: Takes ``(draws, vocabulary)`` values, each draw's `top_k`, and the least weight of a candidate.
#: Returns the values of the candidates, the largest first, and their ids; of equal ones the lower
#: id first.
_Sort = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _sort_of(request: TokenRequest, logits: Tensor) -> _Sort | None:
    """Return what sorts a turn's candidates; None if all tokens are candidates."""
    sampling, size = request.sampling, logits.shape[-1]
    ruled = 0 < sampling.top_k < size
    if not (ruled or sampling.top_p < 1):
        return None
    if _known_at_once(logits):
        return _sort_candidates
    if ruled:
        return _sort_first if sampling.top_k <= FIRST_SORTED else _sort_all
    # Penalties would count a token twice that is chosen again.
    return _sort_all if request.sort_all or request.changes else _sort_first


def _known_at_once(tensor: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for other work."""
    return tensor.device.type == "cpu"


def _draw_from_all(scaled: Tensor, keys: Tensor) -> Tensor:
    every = torch.arange(scaled.shape[-1], dtype=torch.int32, device=scaled.device)
    return _noisy(scaled, keys, every).argmax(dim=-1)


def _draw_from_likeliest(
    scaled: Tensor, keys: Tensor, samplings: Sequence[SamplingParams], sort: _Sort
) -> Tensor:
    """Sample from the ``top_k`` tokens, and of these from the fewest that sum to ``top_p``."""
    size = scaled.shape[-1]
    top_p = _column([sampling.top_p for sampling in samplings], scaled).double()
    top_k = to_device([[min(s.top_k or size, size)] for s in samplings], scaled.device)
    whole = scaled.exp().sum(dim=-1, keepdim=True, dtype=torch.float64)
    values, known = sort(scaled, top_k, (1 - top_p) * whole / size)

    rank = torch.arange(values.shape[-1], device=values.device)
    weights = values.exp().double() * (rank < top_k)
    sums = weights.cumsum(dim=-1)
    whole = torch.where(top_k < size, sums[:, -1:], whole)
    left_out = (rank >= top_k) | (sums - weights >= top_p * whole)
    left_out[:, 0] = False
    noisy = _noisy(values, keys, known).masked_fill_(left_out, float("-inf"))
    drawn = known.gather(-1, noisy.argmax(dim=-1, keepdim=True))[:, 0].long()
    if sort is _sort_first:
        more = (top_k > values.shape[-1]) & (sums[:, -1:] < top_p * whole)
        drawn.masked_fill_(more[:, 0], UNDECIDED)
    return drawn


def _sort_first(scaled: Tensor, top_k: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the largest values of each row only, of which there are always equally many."""
    size = scaled.shape[-1]
    # One number of value and id, so that of equal values the same ones are taken each time. The
    # bits of negative floats are in the opposite order; a 0 must not be a negative one.
    bits = (scaled + 0.0).view(torch.int32)
    order = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    numbers = (order << 32) | torch.arange(size - 1, -1, -1, device=scaled.device)
    largest = numbers.topk(min(FIRST_SORTED, size), dim=-1).values
    ids = size - 1 - (largest & 0xFFFFFFFF)
    return scaled.gather(-1, ids), ids.int()


def _sort_all(scaled: Tensor, top_k: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row."""
    values, ids = scaled.sort(dim=-1, descending=True, stable=True)
    return values, ids.int()


def _sort_candidates(scaled: Tensor, top_k: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Sort only the candidates: sorting a vocabulary costs a CPU as much as a small model.

    Args:
        top_k: ``(draws, 1)``.
        least: ``(draws, 1)``: all tokens of a smaller weight sum to less than 1 - `top_p`, so none
            of them is a candidate.

    Returns:
        Values and ids, each ``(draws, most candidates)``, padded with -inf.
    """
    size = scaled.shape[-1]
    candidates = scaled.exp() >= least
    ruled = (top_k[:, 0] < size).nonzero()[:, 0]
    if len(ruled):
        some = scaled[ruled]
        most = some.topk(int(top_k[ruled].max())).values
        candidates[ruled] = some >= most.gather(-1, top_k[ruled] - 1)

    # Packed by id, then sorted by weight.
    rows, ids = candidates.nonzero(as_tuple=True)
    counts = candidates.sum(dim=-1)
    width = max(1, int(counts.max()))
    columns = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    values = scaled.new_full((len(scaled), width), float("-inf"))
    values[rows, columns] = scaled[rows, ids]
    known = torch.zeros_like(values, dtype=torch.int32)
    known[rows, columns] = ids.int()
    values, order = values.sort(dim=-1, descending=True, stable=True)
    return values, known.gather(-1, order)


def _noisy(scaled: Tensor, keys: Tensor, ids: Tensor) -> Tensor:
    # Float32 would round some sums to the same number.
    return scaled.double().add_(gumbel.gumbel(keys, ids))


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return to_device(numbers, like.device, torch.float32)[:, None]
