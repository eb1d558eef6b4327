"""Set up vLLM: the environment that it reads when it is imported, and its share of the memory.

This imports vllm only when it is called: everything else runs without it.
"""

import importlib
import os
import sys
from collections.abc import Callable

import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError, Engine
from turnstream.workers.engines import lora
from turnstream.workers.engines.checkpoint import Checkpoint, read_config
from turnstream.workers.engines.device_choice import name_of
from turnstream.workers.engines.device_setup import free_bytes
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.kv_cache import bytes_per_token
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


def read_any_config(checkpoint: Checkpoint) -> LlamaConfig:
    """Read a checkpoint's ``config.json``, of a family that vLLM knows and transformers does not.

    Raises:
        CheckpointError: neither can read it, or vLLM is not installed.
    """
    try:
        return read_config(checkpoint)
    except CheckpointError as exc:
        prepare()
        from vllm.transformers_utils.config import get_config

        try:
            config = get_config(checkpoint.folder, trust_remote_code=False)
            text: LlamaConfig = config.get_text_config()
        except Exception as ours:  # many libraries, many errors
            raise exc from ours
        return text


def start_vllm(
    checkpoint: Checkpoint,
    config: LlamaConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    slots: int | None,
    context: int | None,
    tensor_parallel: int,
    eos_ids: frozenset[int],
    grammars: Grammars,
    after_step: Callable[[], None],
) -> Engine:
    """Start vLLM with a checkpoint, and with as much memory for keys and values as there is.

    Raises:
        CheckpointError: vLLM is not installed, or cannot run this here.
    """
    if str(device) != device.type:
        raise CheckpointError(
            f"device {device}: vLLM uses the first GPUs; choose them by CUDA_VISIBLE_DEVICES"
        )
    if checkpoint.adapter is not None:
        lora.check_fits(checkpoint.adapter, config)
    prepare()
    # vLLM reads its settings when it is imported.
    from turnstream.workers.engines.vllm_engine import VllmEngine
    from turnstream.workers.engines.vllm_start import CPU_BLOCK_TOKENS, engine_args

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
    args = engine_args(
        checkpoint.folder,
        device=device.type,
        dtype=name_of(dtype),
        slots=size.slots,
        context=size.context,
        kv_bytes=kv_bytes if on_cpu else None,
        tensor_parallel=tensor_parallel,
        adapter=checkpoint.adapter,
    )
    return VllmEngine(
        args,
        vocabulary=config.vocab_size,
        eos_ids=eos_ids,
        after_step=after_step,
        grammars=grammars,
        adapter=checkpoint.adapter,
    )
