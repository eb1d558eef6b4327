"""Numbers that a device is to have: sent so that nobody waits until it has them.

`torch.tensor(numbers, device=…)` looks the same, and waits for all that a GPU was told before.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def upload(
    numbers: Sequence[float] | Sequence[Sequence[float]],
    device: torch.device,
    dtype: torch.dtype = torch.int64,
) -> Tensor:
    """Make a tensor of some numbers on a device."""
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)
