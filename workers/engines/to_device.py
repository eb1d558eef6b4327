"""Copy numbers to a device and back without waiting for it.

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


def copy_event(device: torch.device) -> torch.cuda.Event | None:
    """Return an event that comes when a GPU has done all that it was given; None on a CPU."""
    if device.type != "cuda":
        return None
    # A thread that waits sleeps; by default it would keep a core busy.
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    return event
