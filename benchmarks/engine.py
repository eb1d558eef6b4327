"""The engine on a CPU, held against transformers' own ways to answer many prompts at once.

All that is compared takes turns in one run, and a ratio is the median of what each round says.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn
from transformers import LlamaForCausalLM

from benchmarks import arrivals, whole_service
from benchmarks.arrivals import Arrivals, engine_waits, static_waits
from benchmarks.batch import (
    NEW_TOKENS,
    TURNS,
    WEIGHTS_A_TOKEN,
    Asker,
    answer,
    engines,
    new_model,
    peers,
    timed,
)
from benchmarks.processes import end_on_sigterm
from benchmarks.report import Row, in_rounds, median_ratio, report, wants_json
from workers.engine import Engine
from workers.engines.packed_linear import PackedLinear

ROUNDS = 3
HISTORY_TOKENS = 900
ARRIVALS = 48

#: Seconds by round, of each who was measured.
Taken = Mapping[str, Sequence[float]]
_TOKENS = TURNS * NEW_TOKENS
#: What the project promises with the compiled op and, in torch alone, without.
_FLOORS = {
    ("compiled", "generate"): 2.0,
    ("torch", "generate"): 1.2,
    ("compiled", "continuous"): 2.5,
    ("torch", "continuous"): 1.5,
}
_CASES = {"generate": "cpu_batch_vs_generate", "continuous": "cpu_batch_vs_transformers_cb"}
_PEERS = {"generate": "static padded generate", "continuous": "transformers' continuous batching"}


def multiplier(seconds: float = 1.0) -> Callable[[], float]:
    """Make what multiplies large bf16 matrices and returns the best rate, in products a second."""
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
        for peer, case in _CASES.items():
            if ours in taken and peer in taken:
                rows.append(
                    Row(
                        case=case if ours == "compiled" else f"{case}_no_compiler",
                        ours=_TOKENS / median(taken[ours]),
                        theirs=_TOKENS / median(taken[peer]),
                        unit="tokens/s",
                        against=_PEERS[peer],
                        ratio=median_ratio(taken[peer], taken[ours]),
                        floor=_FLOORS[ours, peer],
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
            against="this machine's bf16 products, nothing else",
            ratio=rate / limit,
        )
    )
    return rows


def second_turn(engine: Engine, asker: Asker) -> tuple[float, float]:
    """Return the seconds to the first token of a first turn and of one that carries it on."""

    def first_token(prompt: list[int]) -> float:
        start = time.perf_counter()
        answer(engine, [prompt], 1)
        return time.perf_counter() - start

    history = asker.text(HISTORY_TOKENS)
    fresh = first_token(asker.text(HISTORY_TOKENS + 32))
    first_token(history)
    return fresh, first_token([*history, *asker.text(32)])


def wait_row(case: str, theirs: Sequence[float], ours: Sequence[float], against: str) -> Row:
    """Compare waits for a first token; the promise is 0.3 of the other's."""
    return Row(
        case=case,
        ours=median(ours),
        theirs=median(theirs),
        unit="s",
        against=against,
        ratio=median_ratio(theirs, ours),
        floor=1 / 0.3,
    )


def arrival_waits(
    engine: Engine, model: LlamaForCausalLM, asker: Asker, *, batch_seconds: float, rounds: int
) -> tuple[list[float], list[float]]:
    """Return the mean waits of static batches and of ours, by round.

    Args:
        batch_seconds: what a static batch takes; turns come as fast as it can answer them.
    """
    gap = batch_seconds * arrivals.NEW_TOKENS / NEW_TOKENS / TURNS
    theirs, ours = [], []
    for seed in range(rounds):
        coming = Arrivals(asker, count=ARRIVALS, gap=gap, seed=seed)
        ours.append(engine_waits(engine, coming))
        theirs.append(static_waits(model, coming))
    return theirs, ours


def service_row(directory: Path, cache: Path, *, rounds: int) -> Row:
    """Compare the whole service with its engine."""
    folder = directory / whole_service.MODEL
    whole_service.make_checkpoint(folder)
    bare = whole_service.BareEngine(folder, cache)
    try:
        with whole_service.service(directory, folder) as service:
            asked = iter(range(10**6))

            def once(run: Callable[[list[str]], None]) -> Callable[[], None]:
                return lambda: run(whole_service.questions(next(asked)))

            runs = {"service": once(service.run), "bare": once(bare.run)}
            in_rounds(runs, rounds=1)  # to warm up, and to remember the system prompt
            taken = in_rounds(runs, rounds=rounds)
    finally:
        bare.stop()
    return Row(
        case="service_vs_bare_engine",
        ours=_TOKENS / median(taken["service"]),
        theirs=_TOKENS / median(taken["bare"]),
        unit="tokens/s",
        against="the engine alone, same prompts",
        ratio=median_ratio(taken["bare"], taken["service"]),
        floor=0.95,
    )


def main() -> None:
    """Measure and report."""
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name:
        directory = Path(name)
        cache = directory / "cache"
        model, asker, multiply = new_model(), Asker(), multiplier()
        ours = engines(model, cache)
        best = ours.get("compiled", ours["torch"])
        runs = {engine: partial(answer, running) for engine, running in ours.items()}
        products: list[float] = []
        for engine in ours.values():
            answer(engine, asker.batch(), 4)  # to warm up
        taken = in_rounds(
            timed(runs | peers(model), asker) | {"gemm": lambda: products.append(multiply())},
            rounds=ROUNDS,
        )
        rows = batch_rows(taken, max(products))
        fresh, carried_on = zip(*(second_turn(best, asker) for _ in range(5)), strict=True)
        rows.append(
            wait_row(
                "second_turn_first_token", fresh, carried_on, "a first turn of the same length"
            )
        )
        waits = arrival_waits(best, model, asker, batch_seconds=median(taken["generate"]), rounds=2)
        rows.append(wait_row("arrivals_first_token", *waits, "static batches"))
        for engine in ours.values():
            engine.stop(0)
        rows.append(service_row(directory, cache, rounds=ROUNDS))
    report(rows, as_json)


if __name__ == "__main__":
    main()
