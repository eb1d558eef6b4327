"""Make the engine that the settings ask for: what a worker calls once, when it starts."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig

from workers.engine import CheckpointError, Engine
from workers.engines.checkpoint import find, load_model, pick_device, pick_dtype
from workers.engines.decode_op import DTYPES, load_decode_op
from workers.engines.habits import read_habits
from workers.engines.kv_slots import bytes_per_token
from workers.engines.slot_engine import SlotEngine
from workers.engines.tokenizer import LlamaTokenizer, load_tokenizer

log = logging.getLogger(__name__)

#: A context that nobody asked for is shortened to fit the memory, but not below this.
MIN_CONTEXT_TOKENS = 512
#: How much of the free memory keys and values may take; the rest is for activations.
KV_SHARE = 0.8


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
    rows: int,
    context: int | None,
    after_step: Callable[[], None],
    threads: int | None = None,
    compile_cache: Path | None = None,
) -> LoadedModel:
    """Load a model and start its engine.

    Args:
        model: ``demo``, a folder, or a name on the hub.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        rows: how many turns run at once.
        context: tokens of prompt and answer together; None takes what the model was made for, or
            as much of it as fits the memory.
        after_step: called on the engine's thread after each step.
        threads: of the CPU, for one step; None takes every core that torch finds.
        compile_cache: where a CPU's compiled part of the attention is kept; None compiles nothing.

    Raises:
        CheckpointError: the model cannot be loaded or its memory does not fit; one line says why.
    """
    checkpoint = find(model)
    place = pick_device(device)
    numbers = pick_dtype(dtype, place, weight_bytes=checkpoint.weight_bytes)
    if threads:
        torch.set_num_threads(threads)
    llama = load_model(checkpoint, device=place, dtype=numbers)
    config = llama.config
    habits = read_habits(checkpoint.folder)
    tokenizer = load_tokenizer(checkpoint.folder, size=config.vocab_size, eos_ids=habits.eos_ids)
    length = fit_context(config, numbers, rows=rows, context=context, free=_free_bytes(place))
    decode_op = None
    if compile_cache and place.type == "cpu" and numbers in DTYPES:
        decode_op = load_decode_op(compile_cache)
    engine = SlotEngine(
        llama,
        rows=rows,
        context=length,
        eos_ids=tokenizer.eos_ids,
        after_step=after_step,
        decode_op=decode_op,
    )
    log.info(
        "model %s on %s in %s: %d rows × %d tokens, %.1f MiB of keys and values",
        checkpoint.name,
        place,
        str(numbers).removeprefix("torch."),
        rows,
        length,
        rows * length * bytes_per_token(config, numbers) / 2**20,
    )
    return LoadedModel(
        name=checkpoint.name,
        engine=engine,
        tokenizer=tokenizer,
        config=config,
        temperature=habits.temperature,
        top_p=habits.top_p,
    )


def fit_context(
    config: LlamaConfig, dtype: torch.dtype, *, rows: int, context: int | None, free: int
) -> int:
    """Return how many tokens a row gets, given ``free`` bytes of memory.

    Raises:
        CheckpointError: more was asked for than the model or the memory has.
    """
    made_for = config.max_position_embeddings
    fitting = int(free * KV_SHARE) // (rows * bytes_per_token(config, dtype))
    if context is None:
        context = min(made_for, max(fitting, MIN_CONTEXT_TOKENS))
    if context > made_for:
        raise CheckpointError(f"context {context}: the model was made for {made_for} tokens")
    if context > fitting:
        raise CheckpointError(
            f"{rows} rows × {context} tokens do not fit the memory; {rows} × {fitting} would"
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
