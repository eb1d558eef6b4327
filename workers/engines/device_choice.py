"""Choose the device and dtype of a model, from what the settings say and the machine has."""

import re

import torch

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.gpu import fastest_dtype, require_supported

#: Weights up to this size stay in float32 on a CPU: one pass over them takes a millisecond or so.
SMALL_BYTES = 50 * 2**20
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(device: str) -> torch.device:
    """Return the device of a setting: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        CheckpointError: it is none of these, or torch sees no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise CheckpointError(f"device {device}: must be auto, cpu, cuda or cuda:N")
    picked = torch.device(device)
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise CheckpointError(f"device {device}: torch sees {torch.cuda.device_count()} GPUs")
    if picked.type == "cuda":
        require_supported(picked)
    return picked


def pick_dtype(dtype: str, device: torch.device, *, weight_bytes: int) -> torch.dtype:
    """Return the dtype of a setting; ``auto`` is the fastest that the device supports.

    A small model stays in float32 on a CPU: it is fast anyway, and only in float32 does a turn
    that continues at another worker get exactly the same tokens.

    Args:
        weight_bytes: size of the model's weights, as they are stored.

    Raises:
        CheckpointError: it is not auto, float32, bfloat16 or float16.
    """
    if dtype == "auto":
        if device.type == "cuda":
            return fastest_dtype(device)
        able = torch.cpu.get_capabilities()
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
        small = weight_bytes <= SMALL_BYTES
        return torch.bfloat16 if fast and not small else torch.float32
    if dtype not in _DTYPES:
        raise CheckpointError(f"dtype {dtype}: must be auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a dtype in settings."""
    return str(dtype).removeprefix("torch.")
