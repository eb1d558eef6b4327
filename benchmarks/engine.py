"""The engine on a CPU against other ways to answer many prompts at once.

Peers: transformers' `generate` and continuous batching, and vLLM's CPU build where it is installed.
Each runs in a process of its own, alternately in one run; a ratio is the median of the rounds.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn
from transformers import LlamaForCausalLM

from benchmarks import arrivals, vllm_peer, whole_service
from benchmarks.arrivals import Arrivals, engine_waits, static_waits
from benchmarks.batch import (
    CONTEXT,
    NEW_TOKENS,
    TURNS,
    WEIGHTS_A_TOKEN,
    PromptSource,
    answer,
    new_model,
    our_engines,
    start_engine,
    timed,
)
from benchmarks.peer_process import peer
from benchmarks.processes import end_on_sigterm
from benchmarks.report import Row, in_rounds, median_ratio, report, wants_json
from turnstream.workers.engine import Engine
from turnstream.workers.engines.decode_op import load_decode_op
from turnstream.workers.engines.packed_linear import PackedLinear

ROUNDS = 3
HISTORY_TOKENS = 900
ARRIVALS = 48

#: Seconds by round, of each engine and peer.
Taken = Mapping[str, Sequence[float]]
_TOKENS = TURNS * NEW_TOKENS
#: What the project promises, with the compiled op and without.
_FLOORS = {
    ("compiled", "generate"): 2.0,
    ("torch", "generate"): 1.2,
    ("compiled", "continuous"): 2.5,
    ("torch", "continuous"): 1.5,
    ("compiled", "vllm"): 1.1,
    ("torch", "vllm"): 0.7,
}
_CASES = {
    "generate": "cpu_batch_vs_generate",
    "continuous": "cpu_batch_vs_transformers_cb",
    "vllm": "cpu_batch_vs_vllm_cpu",
}
_PEERS = {
    "generate": "static padded generate",
    "continuous": "transformers' continuous batching",
    "vllm": "vLLM's CPU build, eager",
}


def multiplier(seconds: float = 1.0) -> Callable[[], float]:
    """Return a function that measures the rate of large bf16 products, in products a second."""
    size, tokens = 4096, 512
    layer = PackedLinear(nn.Linear(size, size, bias=False, dtype=torch.bfloat16))
    x = torch.randn(tokens, size, dtype=torch.bfloat16)

    def run() -> float:
        best, end = float("inf"), time.perf_counter() + seconds
        with torch.inference_mode():
            while (start := time.perf_counter()) < end:
                layer(x)
                best = min(best, time.perf_counter() - start)
        return tokens * size * size / best

    return run


def batch_rows(taken: Taken, products: float) -> list[Row]:
    """Compare whole batches."""
    rows = []
    for ours in ("compiled", "torch"):
        for name, case in _CASES.items():
            if ours in taken and name in taken:
                rows.append(
                    Row(
                        case=case if ours == "compiled" else f"{case}_no_compiler",
                        ours=_TOKENS / median(taken[ours]),
                        theirs=_TOKENS / median(taken[name]),
                        unit="tokens/s",
                        against=_PEERS[name],
                        ratio=median_ratio(taken[name], taken[ours]),
                        floor=_FLOORS.get((ours, name)),
                    )
                )
    best = "compiled" if "compiled" in taken else "torch"
    rate, limit = _TOKENS / min(taken[best]), products / WEIGHTS_A_TOKEN
    rows.append(
        Row(
            case="cpu_batch_of_gemm_limit",
            ours=rate,
            theirs=limit,
            unit="tokens/s",
            against="bf16 products alone on this machine",
            ratio=rate / limit,
        )
    )
    return rows


def second_turn(engine: Engine, prompt_source: PromptSource) -> tuple[float, float]:
    """Return the seconds to the first token of a first turn and of one that continues a turn."""

    def first_token(prompt: list[int]) -> float:
        start = time.perf_counter()
        answer(engine, [prompt], 1)
        return time.perf_counter() - start

    history = prompt_source.text(HISTORY_TOKENS)
    fresh = first_token(prompt_source.text(HISTORY_TOKENS + 32))
    first_token(history)
    return fresh, first_token([*history, *prompt_source.text(32)])


def wait_rows(engine: Engine, model: LlamaForCausalLM, *, batch_seconds: float) -> list[Row]:
    """Compare waits for a first token; the project promises 0.3 of the peer's."""
    prompt_source = PromptSource(seed=2)
    fresh, continued = zip(*(second_turn(engine, prompt_source) for _ in range(5)), strict=True)
    static, ours = arrival_waits(
        engine, model, prompt_source, batch_seconds=batch_seconds, rounds=2
    )
    return [
        Row(
            case=case,
            ours=median(our_waits),
            theirs=median(their_waits),
            unit="s",
            against=against,
            ratio=median_ratio(their_waits, our_waits),
            floor=1 / 0.3,
        )
        for case, their_waits, our_waits, against in (
            ("second_turn_first_token", fresh, continued, "a first turn of the same length"),
            ("arrivals_first_token", static, ours, "static batches"),
        )
    ]


def arrival_waits(
    engine: Engine,
    model: LlamaForCausalLM,
    prompt_source: PromptSource,
    *,
    batch_seconds: float,
    rounds: int,
) -> tuple[list[float], list[float]]:
    """Return the mean waits of static batches and of our engine, by round.

    Args:
        batch_seconds: time of a static batch; turns arrive at the rate that it can answer.
    """
    gap = batch_seconds * arrivals.NEW_TOKENS / NEW_TOKENS / TURNS
    theirs, ours = [], []
    for seed in range(rounds):
        coming = Arrivals(prompt_source, count=ARRIVALS, gap=gap, seed=seed)
        ours.append(engine_waits(engine, coming))
        theirs.append(static_waits(model, coming))
    return theirs, ours


def service_row(directory: Path, cache: Path, *, rounds: int) -> Row:
    """Compare the whole service with its engine alone."""
    folder = directory / whole_service.MODEL
    whole_service.make_checkpoint(folder)
    write = whole_service.prompt_writer(folder)
    with (
        peer(our_engines(cache)[0], folder, cache) as bare,
        whole_service.service(directory, folder) as service,
    ):
        asked = map(whole_service.questions, count())
        runs: dict[str, Callable[[], None]] = {
            "service": lambda: service.run(next(asked)),
            "bare": lambda: bare([write(text) for text in next(asked)]),
        }
        in_rounds(runs, rounds=1)  # to warm up, and to cache the system prompt
        taken = in_rounds(runs, rounds=rounds)
    return Row(
        case="service_vs_bare_engine",
        ours=_TOKENS / median(taken["service"]),
        theirs=_TOKENS / median(taken["bare"]),
        unit="tokens/s",
        against="the engine alone, same prompts",
        ratio=median_ratio(taken["bare"], taken["service"]),
        floor=0.95,
    )


def batches(directory: Path, cache: Path) -> tuple[Taken, float]:
    """Return the seconds of each one's batches, and this machine's products a second.

    Args:
        directory: where the checkpoint is saved.
        cache: the folder of the compiled op.
    """
    prompt_source, multiply, products = PromptSource(), multiplier(), list[float]()
    folder = directory / "model"
    new_model().save_pretrained(folder)
    with ExitStack() as stack:
        runs = {
            name: stack.enter_context(peer(name, folder, cache))
            for name in (*our_engines(cache), "generate", "continuous")
        }
        if vllm_peer.PYTHON.exists():
            runs["vllm"] = stack.enter_context(
                vllm_peer.vllm_peer(folder, slots=TURNS, context=CONTEXT, max_tokens=NEW_TOKENS)
            )
        for run in runs.values():
            run(prompt_source.batch(1))  # to warm up
        timed_runs = timed(runs, prompt_source) | {"gemm": lambda: products.append(multiply())}
        taken = in_rounds(timed_runs, rounds=ROUNDS)
    return taken, max(products)


def main() -> None:
    """Measure and report."""
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name:
        directory, cache = Path(name), Path(name, "cache")
        taken, products = batches(directory, cache)
        rows = batch_rows(taken, products)
        model = new_model()
        engine = start_engine(deepcopy(model), load_decode_op(cache))
        rows += wait_rows(engine, model, batch_seconds=median(taken["generate"]))
        engine.stop(0)
        rows.append(service_row(directory, cache, rounds=ROUNDS))
    report(rows, as_json)


if __name__ == "__main__":
    main()
