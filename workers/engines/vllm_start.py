"""Start vLLM, so that the first turn finds all that it needs compiled."""

import signal

import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs.engine import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM


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
