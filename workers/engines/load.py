"""Load a model and start the engine that the settings ask for; called once per worker."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from turnstream.workers.engine import CheckpointError, Engine
from turnstream.workers.engines import lora, quantised_checkpoint
from turnstream.workers.engines.checkpoint import (
    Checkpoint,
    find,
    load_model,
    read_config,
)
from turnstream.workers.engines.device_choice import name_of, pick_device, pick_dtype
from turnstream.workers.engines.device_setup import (
    choose_threads,
    pick_decode_op,
    pick_recorder,
    prompt_tokens,
    room,
)
from turnstream.workers.engines.families import window
from turnstream.workers.engines.generation_defaults import read_generation_defaults
from turnstream.workers.engines.kv_cache import bytes_per_token
from turnstream.workers.engines.loaded_model import ChoosePrompts, LoadedModel, own_template
from turnstream.workers.engines.quantised_linear import Quantise, quantise, quantised_dtype
from turnstream.workers.engines.quiet_loading import reporting
from turnstream.workers.engines.sizing import fit, most_slots
from turnstream.workers.engines.slot_cache import PAGE_TOKENS
from turnstream.workers.engines.slot_engine import SlotEngine
from turnstream.workers.engines.tokenizer import LlamaTokenizer, load_tokenizer
from turnstream.workers.engines.vllm_setup import read_any_config, start_vllm

log = logging.getLogger(__name__)


def load_engine(
    *,
    model: str,
    device: str,
    dtype: str,
    slots: int | None,
    context: int | None,
    after_step: Callable[[], None],
    memory_percent: int = 100,
    cache: Path | None = None,
    compile_cache: Path | None = None,
    engine: str = "slot",
    tensor_parallel: int = 1,
    quantize: Quantise = Quantise.NONE,
    lora_base: str = "",
    on_progress: Callable[[float], None] = lambda _: None,
    choose_prompts: ChoosePrompts = own_template,
) -> LoadedModel:
    """Load a model and start its engine.

    Args:
        model: what `checkpoint.find` takes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        slots: how many turns run at once; None takes as many as are likely to fit the memory.
        context: tokens of prompt and answer together; None takes the model's maximum, or as much
            of it as fits the memory.
        after_step: called on the engine's thread after each step.
        memory_percent: how much of the device's memory this engine may take, weights included;
            for `slot` only.
        cache: the user's folder for what can be made again, such as unpacked models;
            None refuses models that need one.
        compile_cache: the folder of the compiled attention for CPUs; None compiles nothing.
        engine: ``slot``, or ``vllm`` where that is installed.
        tensor_parallel: how many devices share the model; only vLLM can have more than one.
        quantize: what to round weights to, which are in bfloat16 then; for `slot` only.
        lora_base: what a LoRA adapter is merged into, if not what its config names.
        on_progress: called with the share of the weights that is loaded; vLLM does not say.
        choose_prompts: called before the engine starts, since a template may bring an EOS.

    Raises:
        CheckpointError: the model cannot be loaded or its memory does not fit; one line says why.
    """
    checkpoint = find(model, lora_base=lora_base, engine=engine)
    torch_device = pick_device(device)
    if quantize is not Quantise.NONE:
        quantised_checkpoint.check_plain(checkpoint.name, checkpoint.quant_method, quantize)
        dtype = quantised_dtype(quantize, dtype=dtype, engine=engine)
    torch_dtype = pick_dtype(dtype, torch_device, weight_bytes=checkpoint.weight_bytes)
    choose_threads(checkpoint)
    with reporting(on_progress):
        checkpoint = checkpoint.unpacked(torch_dtype, cache)
    defaults = read_generation_defaults(checkpoint)
    config = read_any_config(checkpoint) if engine == "vllm" else read_config(checkpoint)
    tokenizer = load_tokenizer(
        checkpoint.tokenizer_folder, size=config.vocab_size, eos_ids=defaults.eos_ids
    )
    prompts = choose_prompts(tokenizer, name=checkpoint.name, config=config.to_dict())
    running: Engine
    if engine == "vllm":
        running = start_vllm(
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
                memory_percent=memory_percent,
                tokenizer=tokenizer,
                after_step=after_step,
                compile_cache=compile_cache,
                quantize=quantize,
                on_progress=on_progress,
            ).result()
    log.info(
        "model %s on %s in %s%s: %d slots, context %d",
        checkpoint.name,
        torch_device,
        name_of(torch_dtype),
        " by vLLM" if engine == "vllm" else "",
        running.capacity,
        running.context,
    )
    return LoadedModel(
        name=checkpoint.name,
        engine=running,
        tokenizer=tokenizer,
        prompts=prompts,
        temperature=defaults.temperature,
        top_p=defaults.top_p,
    )


def _start_slot(
    checkpoint: Checkpoint,
    config: LlamaConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    slots: int | None,
    context: int | None,
    memory_percent: int,
    tokenizer: LlamaTokenizer,
    after_step: Callable[[], None],
    compile_cache: Path | None,
    quantize: Quantise,
    on_progress: Callable[[float], None],
) -> Engine:
    log.info(
        "loading model %s: %.2f GiB of weights; %.1f GiB are free for it and %s slots, context %d",
        checkpoint.name,
        checkpoint.weight_bytes / 2**30,
        room(device, percent=memory_percent, used=0) / 2**30,
        slots or f"up to {most_slots(device)}",
        context or config.max_position_embeddings,
    )
    with reporting(on_progress):
        llama = load_weights(checkpoint, device=device, dtype=dtype, quantize=quantize)
    recorder = pick_recorder(device, dtype)
    size = fit(
        config,
        dtype,
        slots=slots,
        context=context,
        free=room(device, percent=memory_percent, used=llama.get_memory_footprint()),
        page_tokens=recorder.page_tokens if recorder else PAGE_TOKENS,
        most_slots=most_slots(device),
        whole_slots=recorder is None and device.type != "cpu",
        reach=window(config),
    )
    log.info(
        "model %s: keys and values of %d tokens may take %.1f MiB",
        checkpoint.name,
        size.tokens,
        size.tokens * bytes_per_token(config, dtype) / 2**20,
    )
    return SlotEngine(
        llama,
        slots=size.slots,
        context=size.context,
        eos_ids=tokenizer.eos_ids,
        kv_tokens=size.tokens,
        after_step=after_step,
        prompt_tokens=prompt_tokens(device),
        decode_op=pick_decode_op(device, dtype, compile_cache),
        recorder=recorder,
        grammars=tokenizer.grammars(config.vocab_size),
    )


def load_weights(
    checkpoint: Checkpoint,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantize: Quantise = Quantise.NONE,
) -> LlamaForCausalLM:
    """Load a model as the engine `slot` runs it: with its adapter, and quantised if wanted.

    Raises:
        CheckpointError: it cannot be loaded, or not in this way.
    """
    if method := checkpoint.quant_method:
        if checkpoint.adapter is not None:
            raise CheckpointError(
                f"model {checkpoint.name}: its base is quantised by {method}; a LoRA adapter can be"
                " merged only into plain weights; try --engine vllm"
            )
        quantised_checkpoint.check(checkpoint.name, method)
    # What is quantised reaches a GPU layer by layer.
    first = device if quantize is Quantise.NONE else torch.device("cpu")
    llama = load_model(checkpoint, device=first, dtype=dtype)
    if checkpoint.adapter is not None:
        lora.merge(llama, checkpoint.adapter)
    if quantize is not Quantise.NONE:
        quantise(llama, quantize, device)
    if method:
        quantised_checkpoint.try_out(checkpoint.name, llama)
    return llama
