"""Gumbel noise for sampling, a function of seed, position and token only.

The argmax of logits plus Gumbel noise is a sample from their softmax. A token's noise does not
depend on the batch, on the other candidates or on the attempt. Workers of other releases may
continue an answer, so these numbers must never change.
"""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def draw_keys(draws: Iterable[tuple[int, int]], device: torch.device) -> Tensor:
    """Return the key of each draw, from its seed and its position in prompt plus output.

    Returns:
        ``(draws, 2)`` int32.
    """
    return torch.tensor([_key(seed, position) for seed, position in draws], dtype=torch.int32).to(
        device, non_blocking=True
    )


def uniform(keys: Tensor, ids: Tensor) -> Tensor:
    """Return a number in (0, 1) for each token, ``(draws, tokens)`` float32.

    Args:
        keys: ``(draws, 2)``.
        ids: ``(tokens,)`` or ``(draws, tokens)`` int32.

    Source:
        The hash is Chris Wellons's ``lowbias32``, of the id times the key's second number plus its
        first.
    """
    mixed = (ids * (keys[:, 1:] | 1)).add_(keys[:, :1])
    # int32 wraps on multiplication; the masks undo the sign extension of its shifts.
    mixed ^= (mixed >> 16).bitwise_and_(0xFFFF)
    mixed *= 0x7FEB352D
    mixed ^= (mixed >> 15).bitwise_and_(0x1FFFF)
    mixed *= 0x846CA68B - 2**32
    mixed ^= (mixed >> 16).bitwise_and_(0xFFFF)
    # The factor is the largest that keeps all results below 1.
    return mixed.bitwise_and_(0x7FFFFFFF).float().add_(0.5).mul_((1 - 2**-24) / 2**31)


def gumbel(keys: Tensor, ids: Tensor) -> Tensor:
    """Return the noise of some tokens; see `uniform`.

    Large noise comes from numbers near 0, where floats are most precise.
    """
    return uniform(keys, ids).neg_().log1p_().neg_().log_().neg_()


def _key(seed: int, position: int) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    first, second = (int.from_bytes(part, "big", signed=True) for part in (digest[:4], digest[4:]))
    return first, second
