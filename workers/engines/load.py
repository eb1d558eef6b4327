"""Make the engine that the settings ask for: what a worker calls once, when it starts."""

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
)
from turnstream.workers.engines.cuda_recorder import CudaRecorder
from turnstream.workers.engines.decode_op import DTYPES, load_decode_op
from turnstream.workers.engines.generation_defaults import read_generation_defaults
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.slot_engine import SlotEngine
from turnstream.workers.engines.tokenizer import LlamaTokenizer, load_tokenizer

log = logging.getLogger(__name__)

#: A context that nobody asked for is shortened to fit the memory, but not below this.
MIN_CONTEXT_TOKENS = 512
#: How much of the free memory keys and values may take; the rest is for activations.
KV_SHARE = 0.8
#: Weights of this size are read through before a second thread is awake: its core is better left to
#: others.
ALONE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A running engine and what one needs to talk to it."""

    #: What clients call the model.
    name: str
    engine: Engine
    tokenizer: LlamaTokenizer
    config: LlamaConfig
    #: What a turn gets that asks for no other, as the checkpoint says.
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
        context: tokens of prompt and answer together; None takes what the model was made for, or
            as much of it as fits the memory.
        after_step: called on the engine's thread after each step.
        compile_cache: where a CPU's compiled part of the attention is kept; None compiles nothing.
        engine: ``slot``, or ``vllm`` where that is installed.
        tensor_parallel: how many devices share the model; only vLLM can have more than one.

    Raises:
        CheckpointError: the model cannot be loaded or its memory does not fit; one line says why.
    """
    checkpoint = find(model)
    place = pick_device(device)
    numbers = pick_dtype(dtype, place, weight_bytes=checkpoint.weight_bytes)
    if checkpoint.weight_bytes <= ALONE_BYTES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    defaults = read_generation_defaults(checkpoint.folder)
    config = read_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint.folder, size=config.vocab_size, eos_ids=defaults.eos_ids)
    running: Engine
    if engine == "vllm":
        running = _start_vllm(
            checkpoint,
            config,
            device=place,
            dtype=numbers,
            slots=slots,
            context=context,
            tensor_parallel=tensor_parallel,
            eos_ids=tokenizer.eos_ids,
            after_step=after_step,
        )
    else:
        # GNU OpenMP gives each thread that computes helpers of its own, for as long as it lives.
        # Once they are more than the cores, all sleep between two products, and waking them takes
        # half of a step. So whoever loads is gone when the engine's thread begins.
        with ThreadPoolExecutor(1, "loader") as passing:
            running = passing.submit(
                _start_slot,
                checkpoint,
                config,
                device=place,
                dtype=numbers,
                slots=slots,
                context=context,
                eos_ids=tokenizer.eos_ids,
                after_step=after_step,
                compile_cache=compile_cache,
            ).result()
    log.info(
        "model %s on %s in %s%s: %d slots × %d tokens, %.1f MiB of keys and values",
        checkpoint.name,
        place,
        name_of(numbers),
        " by vLLM" if engine == "vllm" else "",
        slots,
        running.context,
        slots * running.context * bytes_per_token(config, numbers) / 2**20,
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
    eos_ids: frozenset[int],
    after_step: Callable[[], None],
    compile_cache: Path | None,
) -> Engine:
    llama = load_model(checkpoint, device=device, dtype=dtype)
    length = fit_context(config, dtype, slots=slots, context=context, free=_free_bytes(device))
    decode_op = None
    if compile_cache and device.type == "cpu" and dtype in DTYPES:
        decode_op = load_decode_op(compile_cache)
    return SlotEngine(
        llama,
        slots=slots,
        context=length,
        eos_ids=eos_ids,
        after_step=after_step,
        decode_op=decode_op,
        recorder=CudaRecorder(device) if CudaRecorder.suits(device, dtype) else None,
    )


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
    after_step: Callable[[], None],
) -> Engine:
    if str(device) != device.type:
        raise CheckpointError(
            f"device {device}: vLLM takes the first GPUs; CUDA_VISIBLE_DEVICES says which they are"
        )
    vllm_setup.prepare()
    # Only now may it be imported.
    from turnstream.workers.engines.vllm_engine import CPU_BLOCK_TOKENS, VllmEngine

    if device.type == "cpu":
        # The weights will be in the memory too; stored as they are or twice as wide.
        free = _free_bytes(device) - 2 * checkpoint.weight_bytes
        context = fit_context(config, dtype, slots=slots, context=context, free=free)
        # And a block that is nobody's.
        blocks = slots * math.ceil(context / CPU_BLOCK_TOKENS) + 1
        kv_bytes = blocks * CPU_BLOCK_TOKENS * bytes_per_token(config, dtype) // tensor_parallel
    else:
        # vLLM looks itself at what is free on its cards.
        free, kv_bytes = sys.maxsize, None
        context = fit_context(config, dtype, slots=slots, context=context, free=free)
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
    )


def fit_context(
    config: LlamaConfig, dtype: torch.dtype, *, slots: int, context: int | None, free: int
) -> int:
    """Return how many tokens a slot gets, given ``free`` bytes of memory.

    Raises:
        CheckpointError: more was asked for than the model or the memory has.
    """
    made_for = config.max_position_embeddings
    fitting = int(free * KV_SHARE) // (slots * bytes_per_token(config, dtype))
    if context is None:
        context = min(made_for, max(fitting, MIN_CONTEXT_TOKENS))
    if context > made_for:
        raise CheckpointError(f"context {context}: the model was made for {made_for} tokens")
    if context > fitting:
        raise CheckpointError(
            f"{slots} slots × {context} tokens do not fit the memory; {slots} × {fitting} would"
        )
    return context


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
