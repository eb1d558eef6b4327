"""What an engine is given on a device: threads, memory, and what makes its steps fast there."""

import os
from pathlib import Path

import torch

from turnstream.workers.engines.checkpoint import Checkpoint
from turnstream.workers.engines.cuda_recorder import CudaRecorder
from turnstream.workers.engines.decode_op import DTYPES, DecodeOp, load_decode_op
from turnstream.workers.engines.recorded_steps import Recorder

#: Models up to this size run on one thread: waking a second one takes longer than a step.
ONE_THREAD_BYTES = 16 * 2**20

#: How many prompt tokens a step takes at most. On a GPU fewer cost as much as the launches.
GPU_PROMPT_TOKENS = 2048
CPU_PROMPT_TOKENS = 512


def choose_threads(checkpoint: Checkpoint) -> None:
    """Let torch use one thread for a small model, unless the environment says how many."""
    if checkpoint.weight_bytes <= ONE_THREAD_BYTES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def pick_recorder(device: torch.device, dtype: torch.dtype) -> Recorder | None:
    """Return what records the steps of a GPU; None if it cannot, and on a CPU."""
    return CudaRecorder(device) if CudaRecorder.suits(device, dtype) else None


def pick_decode_op(
    device: torch.device, dtype: torch.dtype, compile_cache: Path | None
) -> DecodeOp | None:
    """Return the compiled attention for a CPU; None if there is none, and on a GPU."""
    if compile_cache and device.type == "cpu" and dtype in DTYPES:
        return load_decode_op(compile_cache)
    return None


def prompt_tokens(device: torch.device) -> int:
    """Return how many prompt tokens a step takes at most on a device."""
    return GPU_PROMPT_TOKENS if device.type == "cuda" else CPU_PROMPT_TOKENS


def room(device: torch.device, *, percent: int, used: int) -> int:
    """Return how much memory a worker may still take of a device.

    Args:
        percent: the worker's part of the whole memory.
        used: what the worker has taken of that.
    """
    return min(free_bytes(device), total_bytes(device) * percent // 100 - used)


def total_bytes(device: torch.device) -> int:
    """Return how much memory a device has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_bytes(device: torch.device) -> int:
    """Return how much of a device's memory is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return total_bytes(device) // 2
