"""Start vLLM, so that the first turn finds all that it needs compiled."""

import signal
from pathlib import Path

import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs.engine import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM

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
    kv_bytes: int | None,
    tensor_parallel: int,
) -> AsyncEngineArgs:
    """Return vLLM's arguments for an engine; see `VllmEngine`."""
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
    )


async def started(args: AsyncEngineArgs) -> AsyncLLM:
    """Start vLLM's processes; return when they are ready."""
    # The worker handles SIGINT by draining; vLLM's processes inherit this mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    llm = AsyncLLM.from_engine_args(args)
    try:
        await _warm_up(llm)
    except BaseException:
        llm.shutdown()
        raise
    return llm


async def _warm_up(llm: AsyncLLM) -> None:
    """Have vLLM compute a token with log probabilities.

    It compiles their code when they are first asked for, which would hold up all running turns.
    """
    params = vllm.SamplingParams(max_tokens=1, temperature=0, logprobs=1, detokenize=False)
    async for _ in llm.generate(tokens_input([0]), params, "warm-up"):
        pass
