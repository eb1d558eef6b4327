"""Start vLLM, so that the first turn finds all that it needs compiled and loaded."""

import signal
from pathlib import Path
from typing import get_args

import vllm
from vllm.config.lora import LoRAConfig, MaxLoRARanks
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines import lora_config
from turnstream.workers.engines.vllm_grammars import VllmGrammars

#: Tokens per block of vLLM's KV cache on a CPU; only whole blocks are shared.
CPU_BLOCK_TOKENS = 32


def engine_args(
    folder: Path,
    *,
    device: str,
    dtype: str,
    slots: int,
    context: int,
    kv_bytes: int | None = None,
    tensor_parallel: int = 1,
    adapter: Path | None = None,
) -> AsyncEngineArgs:
    """Return vLLM's arguments for an engine.

    Args:
        folder: the checkpoint.
        device: `cpu` or `cuda`, as this vLLM was built for.
        dtype: `float32`, `bfloat16` or `float16`.
        slots: how many turns run at once; others wait.
        context: tokens that a prompt and its answer may have together.
        kv_bytes: memory for keys and values on each GPU; None lets vLLM decide.
        tensor_parallel: GPUs, or processes on a CPU, that share the model.
        adapter: the folder of a LoRA adapter that every turn uses.

    Raises:
        CheckpointError: vLLM was built for another device, or takes no adapter like this one.
    """
    if current_platform.device_type != device:
        raise CheckpointError(
            f"device {device}: this vLLM was built for {current_platform.device_type or 'none'}"
        )
    return AsyncEngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        # The checkpoint's defaults are in each turn's sampling parameters already.
        generation_config="vllm",
        dtype=dtype,
        max_model_len=context,
        max_num_seqs=slots,
        scheduling_policy="priority",
        block_size=CPU_BLOCK_TOKENS if device == "cpu" else None,
        kv_cache_memory_bytes=kv_bytes,
        enable_prefix_caching=True,
        tensor_parallel_size=tensor_parallel,
        # On a CPU, compiling takes longer than it saves.
        enforce_eager=device == "cpu",
        # Before penalties, bias and temperature.
        logprobs_mode="raw_logprobs",
        disable_log_stats=True,
        logits_processors=[VllmGrammars],
        enable_lora=adapter is not None,
        max_lora_rank=_room_for(adapter) if adapter else LoRAConfig().max_lora_rank,
    )


def lora_request(adapter: Path) -> LoRARequest:
    """Return what turns of an adapter are submitted with; an engine has one."""
    return LoRARequest(adapter.name, 1, str(adapter))


async def started(args: AsyncEngineArgs, adapter: LoRARequest | None) -> AsyncLLM:
    """Start vLLM's processes; return when they are ready."""
    # The worker handles SIGINT by draining; vLLM's processes inherit this mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    llm = AsyncLLM.from_engine_args(args)
    try:
        if adapter is not None:
            await llm.add_lora(adapter)
        await _warm_up(llm, adapter)
    except BaseException:
        llm.shutdown()
        raise
    return llm


async def _warm_up(llm: AsyncLLM, adapter: LoRARequest | None) -> None:
    """Have vLLM compute a token with log probabilities.

    It compiles their code when they are first asked for, which would hold up all running turns.
    """
    params = vllm.SamplingParams(max_tokens=1, temperature=0, logprobs=1, detokenize=False)
    async for _ in llm.generate(tokens_input([0]), params, "warm-up", lora_request=adapter):
        pass


def _room_for(adapter: Path) -> int:
    """Return the least of vLLM's ranks that an adapter fits into."""
    config = lora_config.read_config(adapter)
    rank = max(int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values()), 0)
    ranks: tuple[int, ...] = get_args(MaxLoRARanks)
    for each in ranks:
        if rank <= each:
            return each
    raise CheckpointError(f"{adapter}: its rank is {rank}; vLLM takes up to {max(ranks)}")
