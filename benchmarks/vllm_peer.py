"""vLLM's CPU build as a peer, in the environment that `make test-vllm` makes for it.

It runs in processes of its own and is suspended while others are measured, because its processes
poll each other without a pause for some seconds after each batch.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peer_process import PeerProcess
from turnstream.workers.engines.orphans import ended_with_us

ROOT = Path(__file__).parents[1]
#: The Python of the environment that `make test-vllm` makes.
PYTHON = ROOT / ".venv-vllm/bin/python"


@contextmanager
def vllm_peer(
    folder: Path, *, slots: int, context: int, max_tokens: int, schema: str = ""
) -> Iterator[PeerProcess]:
    """Start vLLM with a checkpoint in bfloat16.

    Args:
        schema: JSON that all answers follow; the folder has a tokenizer then.
    """
    arguments = (folder, str(slots), str(context), str(max_tokens), schema)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    environ = os.environ | {
        "PYTHONPATH": str(ROOT),
        # vLLM recommends its OpenMP library for CPUs.
        "LD_PRELOAD": str(PYTHON.parents[1] / "lib/libiomp5.so"),
        "VLLM_CPU_OMP_THREADS_BIND": cores,
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
    }
    # A suspended process could not notice that this one has ended.
    with ended_with_us() as all_started:
        process = subprocess.Popen(
            [PYTHON, "-P", "-m", "benchmarks.vllm_peer", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environ,
        )
        peer = PeerProcess(process)
        try:
            peer.wait()
            all_started()
            yield peer
        finally:
            peer.end()


async def serve(folder: str, slots: int, context: int, max_tokens: int, schema: str) -> None:
    """Answer batches from stdin, one a line; print `done` for each on stdout."""
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
    from vllm.v1.engine.async_llm import AsyncLLM

    # Output of libraries goes to stderr; stdout carries the protocol only.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    llm = AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=folder,
            skip_tokenizer_init=not schema,
            generation_config="vllm",
            dtype="bfloat16",
            max_model_len=context,
            max_num_seqs=slots,
            kv_cache_memory_bytes=2 * 2**30,
            enforce_eager=True,
            disable_log_stats=True,
        )
    )

    async def answer(id: str, prompt: list[int]) -> None:
        params = SamplingParams(
            temperature=0,
            max_tokens=max_tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
        )
        async for output in llm.generate(tokens_input(prompt), params, id):
            assert len(output.outputs[0].token_ids) == max_tokens

    batch = 0
    while True:
        print("done", file=out, flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return
        batch += 1
        async with asyncio.TaskGroup() as turns:
            for n, prompt in enumerate(json.loads(line)):
                turns.create_task(answer(f"{batch}-{n}", prompt))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]))
