"""Copy numbers to a device without waiting for it.

`torch.tensor(values, device=…)` waits for all work that a GPU was given before.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(
    values: Sequence[float] | Sequence[Sequence[float]],
    device: torch.device,
    dtype: torch.dtype = torch.int64,
) -> Tensor:
    """Return a tensor of some values on a device."""
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)
