"""Choose the next token of each turn from the model's logits.

A draw is counter-based: its random number is a hash of the turn's seed and of the token's place in
prompt plus output. So a turn says the same thing whoever shares its batch and wherever it was
resumed, as long as the logits are the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.engine import Sampling
from workers.engines.penalties import Penalties

#: How many of the likeliest tokens are looked at before all of them are.
LOOKS_TOKENS = (256, 4096)


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
    if special:
        ids[special] = _choose(logits[special].float(), [asks[n] for n in special])
    # The maximum is NaN when any logit is.
    ids[~best.isfinite()] = -1
    return [None if id < 0 else id for id in ids.tolist()]


def uniform(seed: int, position: int) -> float:
    """Return the number in [0, 1) that decides the token at this place."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    # 52 bits: the product with a sum of weights stays below that sum.
    return (int.from_bytes(digest, "big") >> 12) / 2**52


def _choose(logits: Tensor, asks: Sequence[Ask]) -> Tensor:
    for row, ask in zip(logits, asks, strict=True):
        if ask.penalties:
            ask.penalties.apply(row)
    ids = logits.argmax(dim=-1)
    drawing = [n for n, ask in enumerate(asks) if ask.sampling.temperature > 0]
    if drawing:
        ids[drawing] = _draw(logits[drawing], [asks[n] for n in drawing])
    return ids


def _draw(logits: Tensor, asks: Sequence[Ask]) -> Tensor:
    """Draw by the inverse of the cumulative distribution, in the order of the ids.

    That order cannot change with the last bit of a logit, as the order of likelihood can.
    """

    def column(numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=logits.device)[:, None]

    samplings = [ask.sampling for ask in asks]
    logits = logits.double()
    heat = column([sampling.temperature for sampling in samplings])
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / heat
    if any(sampling.top_k or sampling.top_p < 1 for sampling in samplings):
        size = logits.shape[-1]
        top_k = column([sampling.top_k or size for sampling in samplings])
        top_p = column([sampling.top_p for sampling in samplings])
        scaled = _likeliest(scaled, top_k, top_p)
    sums = scaled.exp().cumsum(dim=-1)
    points = column([uniform(ask.sampling.seed, ask.position) for ask in asks])
    drawn = torch.searchsorted(sums, points * sums[:, -1:], right=True)[:, 0]
    # Past the end only if the sums are NaN, which the caller tells apart.
    return drawn.clamp(max=logits.shape[-1] - 1)


def _likeliest(scaled: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Rule out all but ``top_k`` tokens, then all but those that hold ``top_p`` of what is left."""
    size = scaled.shape[-1]
    limited = top_k < size
    ruled = limited | (top_p < 1)
    widest = int(top_k[limited].max()) if limited.any() else 0
    everything = scaled.exp().sum(dim=-1, keepdim=True)
    # Sorting a whole vocabulary costs as much as the model; its head is nearly always enough.
    for width in (*(look for look in LOOKS_TOKENS if widest <= look < size), size):
        ordered = scaled.topk(width).values
        rank = torch.arange(width, device=scaled.device)
        weights = ordered.exp() * (rank < top_k)
        sums = weights.cumsum(dim=-1)
        whole = torch.where(limited, sums[:, -1:], everything)
        kept = (rank < top_k) & (sums - weights < top_p * whole)
        if not (kept[:, -1:] & ruled).any():
            break
    count = kept.sum(dim=-1, keepdim=True).clamp(min=1)
    last = ordered.gather(-1, count - 1)
    # Of those as likely as the last one kept, the lower ids stay.
    above, equal = scaled > last, scaled == last
    room = count - above.sum(dim=-1, keepdim=True)
    kept = above | (equal & (equal.cumsum(dim=-1) <= room))
    return scaled.masked_fill(ruled & ~kept, float("-inf"))
