"""Load a model and start the engine that the settings ask for; called once per worker."""

import logging
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig

from turnstream.workers.engine import CheckpointError, Engine
from turnstream.workers.engines import vllm_setup
from turnstream.workers.engines.checkpoint import (
    Checkpoint,
    find,
    load_model,
    name_of,
    pick_device,
    pick_dtype,
    read_config,
    read_generation_defaults,
)
from turnstream.workers.engines.cuda_recorder import CudaRecorder
from turnstream.workers.engines.decode_op import DTYPES, DecodeOp, load_decode_op
from turnstream.workers.engines.grammars import Grammars
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.recorded_steps import Recorder
from turnstream.workers.engines.sizing import fit
from turnstream.workers.engines.slot_engine import SlotEngine
from turnstream.workers.engines.tokenizer import LlamaTokenizer, load_tokenizer

log = logging.getLogger(__name__)

#: Models up to this size run on one thread: waking a second one takes longer than a step.
ONE_THREAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A running engine, and what is needed to use it."""

    #: The model's name for clients.
    name: str
    engine: Engine
    tokenizer: LlamaTokenizer
    config: LlamaConfig
    #: The checkpoint's defaults, for turns that do not set their own.
    temperature: float
    top_p: float


def load_engine(
    *,
    model: str,
    device: str,
    dtype: str,
    slots: int,
    context: int | None,
    after_step: Callable[[], None],
    compile_cache: Path | None = None,
    engine: str = "slot",
    tensor_parallel: int = 1,
) -> LoadedModel:
    """Load a model and start its engine.

    Args:
        model: ``demo``, a folder, or a name on the hub.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        slots: how many turns run at once.
        context: tokens of prompt and answer together; None takes the model's maximum, or as much
            of it as fits the memory.
        after_step: called on the engine's thread after each step.
        compile_cache: the folder of the compiled attention for CPUs; None compiles nothing.
        engine: ``slot``, or ``vllm`` where that is installed.
        tensor_parallel: how many devices share the model; only vLLM can have more than one.

    Raises:
        CheckpointError: the model cannot be loaded or its memory does not fit; one line says why.
    """
    checkpoint = find(model)
    torch_device = pick_device(device)
    torch_dtype = pick_dtype(dtype, torch_device, weight_bytes=checkpoint.weight_bytes)
    choose_threads(checkpoint)
    defaults = read_generation_defaults(checkpoint.folder)
    config = read_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint.folder, size=config.vocab_size, eos_ids=defaults.eos_ids)
    running: Engine
    if engine == "vllm":
        running = _start_vllm(
            checkpoint,
            config,
            device=torch_device,
            dtype=torch_dtype,
            slots=slots,
            context=context,
            tensor_parallel=tensor_parallel,
            eos_ids=tokenizer.eos_ids,
            grammars=tokenizer.grammars(config.vocab_size),
            after_step=after_step,
        )
    else:
        # GNU OpenMP gives each computing thread a pool of its own for as long as it lives. With
        # more pool threads than cores, all sleep between two operations, and waking them takes
        # half of a step. So the loading thread ends before the engine's thread starts.
        with ThreadPoolExecutor(1, "loader") as loader:
            running = loader.submit(
                _start_slot,
                checkpoint,
                config,
                device=torch_device,
                dtype=torch_dtype,
                slots=slots,
                context=context,
                tokenizer=tokenizer,
                after_step=after_step,
                compile_cache=compile_cache,
            ).result()
    log.info(
        "model %s on %s in %s%s: %d slots × %d tokens, %.1f MiB of keys and values",
        checkpoint.name,
        torch_device,
        name_of(torch_dtype),
        " by vLLM" if engine == "vllm" else "",
        running.capacity,
        running.context,
        running.capacity * running.context * bytes_per_token(config, torch_dtype) / 2**20,
    )
    return LoadedModel(
        name=checkpoint.name,
        engine=running,
        tokenizer=tokenizer,
        config=config,
        temperature=defaults.temperature,
        top_p=defaults.top_p,
    )


def _start_slot(
    checkpoint: Checkpoint,
    config: LlamaConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    slots: int,
    context: int | None,
    tokenizer: LlamaTokenizer,
    after_step: Callable[[], None],
    compile_cache: Path | None,
) -> Engine:
    llama = load_model(checkpoint, device=device, dtype=dtype)
    recorder = pick_recorder(device, dtype)
    size = fit(
        config,
        dtype,
        slots=slots,
        context=context,
        free=free_bytes(device),
        page_tokens=recorder.page_tokens if recorder else None,
    )
    return SlotEngine(
        llama,
        slots=size.slots,
        context=size.context,
        eos_ids=tokenizer.eos_ids,
        after_step=after_step,
        decode_op=pick_decode_op(device, dtype, compile_cache),
        recorder=recorder,
        grammars=tokenizer.grammars(config.vocab_size),
    )


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


def _start_vllm(
    checkpoint: Checkpoint,
    config: LlamaConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    slots: int,
    context: int | None,
    tensor_parallel: int,
    eos_ids: frozenset[int],
    grammars: Grammars,
    after_step: Callable[[], None],
) -> Engine:
    if str(device) != device.type:
        raise CheckpointError(
            f"device {device}: vLLM uses the first GPUs; choose them by CUDA_VISIBLE_DEVICES"
        )
    vllm_setup.prepare()
    # vLLM reads its settings when it is imported.
    from turnstream.workers.engines.vllm_engine import CPU_BLOCK_TOKENS, VllmEngine

    if device.type == "cpu":
        # vLLM will load the weights, with up to twice their stored size.
        free = free_bytes(device) - 2 * checkpoint.weight_bytes
        slots, context = fit(config, dtype, slots=slots, context=context, free=free)
        # vLLM keeps one block unused.
        blocks = slots * math.ceil(context / CPU_BLOCK_TOKENS) + 1
        kv_bytes = blocks * CPU_BLOCK_TOKENS * bytes_per_token(config, dtype) // tensor_parallel
    else:
        # vLLM measures the free memory of its GPUs itself.
        free, kv_bytes = sys.maxsize, None
        slots, context = fit(config, dtype, slots=slots, context=context, free=free)
    return VllmEngine(
        checkpoint.folder,
        device=device.type,
        dtype=name_of(dtype),
        slots=slots,
        context=context,
        vocabulary=config.vocab_size,
        eos_ids=eos_ids,
        after_step=after_step,
        kv_bytes=kv_bytes,
        tensor_parallel=tensor_parallel,
        grammars=grammars,
    )


def free_bytes(device: torch.device) -> int:
    """Return how much of a device's memory is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
