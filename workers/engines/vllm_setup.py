"""Set up vLLM: the environment that it reads when it is imported, and its share of the memory.

This imports vllm only when it is called: everything else runs without it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError, Engine
from turnstream.workers.engines.checkpoint import Checkpoint
from turnstream.workers.engines.device_choice import name_of
from turnstream.workers.engines.device_setup import free_bytes
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.merged_checkpoint import merged
from turnstream.workers.engines.sizing import fit, most_slots

#: vLLM's own settings; values in the worker's environment take precedence.
SETTINGS = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # No usage statistics are sent.
    "VLLM_NO_USAGE_STATS": "1",
    # A worker has threads, so it must not be forked.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # Two workers would bind their threads to the same cores and leave others idle.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def prepare() -> None:
    """Prepare the environment and import `vllm`.

    Raises:
        CheckpointError: vLLM is not installed or cannot be imported.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        importlib.import_module("vllm")
    except ModuleNotFoundError as exc:
        raise CheckpointError(f"engine vllm: install the extra turnstream[vllm] ({exc})") from exc
    except Exception as exc:  # its dependencies may have the wrong versions
        raise CheckpointError(f"engine vllm: it cannot be imported: {exc}") from exc


def start_vllm(
    checkpoint: Checkpoint,
    config: LlamaConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    slots: int | None,
    context: int | None,
    tensor_parallel: int,
    cache: Path | None,
    eos_ids: frozenset[int],
    grammars: Grammars,
    after_step: Callable[[], None],
) -> Engine:
    """Start vLLM with a checkpoint, and with as much memory for keys and values as there is.

    Raises:
        CheckpointError: vLLM is not installed, or cannot run this here.
    """
    if checkpoint.adapter is not None:
        checkpoint = merged(checkpoint, checkpoint.adapter, dtype=dtype, cache=cache)
    if str(device) != device.type:
        raise CheckpointError(
            f"device {device}: vLLM uses the first GPUs; choose them by CUDA_VISIBLE_DEVICES"
        )
    prepare()
    # vLLM reads its settings when it is imported.
    from turnstream.workers.engines.vllm_engine import VllmEngine
    from turnstream.workers.engines.vllm_start import CPU_BLOCK_TOKENS

    # vLLM measures the free memory of its GPUs itself. On a CPU it will load the weights, with up
    # to twice their stored size.
    on_cpu = device.type == "cpu"
    size = fit(
        config,
        dtype,
        slots=slots,
        context=context,
        free=free_bytes(device) - 2 * checkpoint.weight_bytes if on_cpu else sys.maxsize,
        page_tokens=CPU_BLOCK_TOKENS,
        most_slots=most_slots(device),
    )
    # vLLM keeps one block unused.
    kv_bytes = (size.tokens + CPU_BLOCK_TOKENS) * bytes_per_token(config, dtype) // tensor_parallel
    return VllmEngine(
        checkpoint.folder,
        device=device.type,
        dtype=name_of(dtype),
        slots=size.slots,
        context=size.context,
        vocabulary=config.vocab_size,
        eos_ids=eos_ids,
        after_step=after_step,
        kv_bytes=kv_bytes if on_cpu else None,
        tensor_parallel=tensor_parallel,
        grammars=grammars,
    )
