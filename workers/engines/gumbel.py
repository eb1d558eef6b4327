"""The random numbers behind a draw: one for each token, known by seed, place and token alone.

The likeliest token after Gumbel noise was added to the logits is a fair draw from their softmax.
The noise of a token does not change with who else is in the batch, with which tokens may be drawn,
or with the attempt; a worker of another release that goes on with an answer must find the same.
"""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def keys(draws: Iterable[tuple[int, int]], device: torch.device) -> Tensor:
    """Make the key of each draw from its seed and its place in prompt plus output.

    Returns:
        ``(draws, 2)`` int32.
    """
    return torch.tensor([_key(seed, place) for seed, place in draws], dtype=torch.int32).to(
        device, non_blocking=True
    )


def uniform(keys: Tensor, ids: Tensor) -> Tensor:
    """Return a number above 0 and below 1 for each of some tokens, ``(draws, tokens)`` float32.

    Args:
        keys: ``(draws, 2)``.
        ids: ``(tokens,)`` or ``(draws, tokens)`` int32.

    Source:
        The mixing is Chris Wellons's ``lowbias32``, over a multiple of the id, the key's own.
    """
    mixed = (ids * (keys[:, 1:] | 1)).add_(keys[:, :1])
    # An int32 wraps when it is multiplied, and drags its sign along when it is shifted.
    mixed ^= (mixed >> 16).bitwise_and_(0xFFFF)
    mixed *= 0x7FEB352D
    mixed ^= (mixed >> 15).bitwise_and_(0x1FFFF)
    mixed *= 0x846CA68B - 2**32
    mixed ^= (mixed >> 16).bitwise_and_(0xFFFF)
    # The factor is the largest that keeps the greatest of them below 1.
    return mixed.bitwise_and_(0x7FFFFFFF).float().add_(0.5).mul_((1 - 2**-24) / 2**31)


def gumbel(keys: Tensor, ids: Tensor) -> Tensor:
    """Return the noise of some tokens; see `uniform`.

    Large noise, which decides, comes of small numbers, where floats lie close together.
    """
    return uniform(keys, ids).neg_().log1p_().neg_().log_().neg_()


def _key(seed: int, place: int) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}:{place}".encode(), digest_size=8).digest()
    first, second = (int.from_bytes(part, "big", signed=True) for part in (digest[:4], digest[4:]))
    return first, second
