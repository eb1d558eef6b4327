"""What differs between GPUs: which of them torch can use, and their fastest dtype."""

import torch

from turnstream.workers.engine import CheckpointError


def require_supported(device: torch.device) -> None:
    """Raise CheckpointError if this torch has no code for a GPU."""
    # Such as sm_75, sm_90a and compute_120; a build for a CPU has none.
    built_for = [
        int("".join(filter(str.isdigit, name.split("_")[1]))) for name in torch.cuda.get_arch_list()
    ]
    major, minor = torch.cuda.get_device_capability(device)
    if built_for and 10 * major + minor < min(built_for):
        least = min(built_for)
        raise CheckpointError(
            f"device {device}: {torch.cuda.get_device_name(device)} has compute capability"
            f" {major}.{minor}, and torch {torch.__version__} needs {least // 10}.{least % 10};"
            " install a torch that was built for it, or choose TURNSTREAM_DEVICE=cpu"
        )


def fastest_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest dtype of a GPU; before Ampere, bfloat16 is emulated."""
    ampere = torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if ampere else torch.float16
