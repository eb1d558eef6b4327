"""The engine on a CPU, held against vLLM's CPU build: the same model, prompts of the same lengths.

It needs `.venv-vllm`, which `make test-vllm` makes, so `make bench` leaves it out.
"""

import sys
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.batch import CONTEXT, NEW_TOKENS, TURNS, Asker, answer, engines, new_model, timed
from benchmarks.processes import end_on_sigterm
from benchmarks.report import Row, in_rounds, median_ratio, report, wants_json
from benchmarks.vllm_peer import PYTHON, vllm_peer

ROUNDS = 5
#: With the compiled op and, in torch alone, without.
CASES = {"compiled": "cpu_batch_vs_vllm_cpu", "torch": "cpu_batch_vs_vllm_cpu_no_compiler"}


def main() -> None:
    """Measure and report."""
    as_json = wants_json(__doc__ or "")
    if not PYTHON.exists():
        sys.exit(f"{PYTHON.parents[1].name} is not there: `make test-vllm` makes it")
    end_on_sigterm()
    model, asker = new_model(), Asker()
    with TemporaryDirectory() as name:
        folder = Path(name, "model")
        model.save_pretrained(folder)
        ours = engines(model, Path(name, "cache"))
        with vllm_peer(folder, rows=TURNS, context=CONTEXT, max_tokens=NEW_TOKENS) as peer:
            runs = {engine: partial(answer, running) for engine, running in ours.items()}
            contenders = timed(runs | {"vllm": peer}, asker)
            in_rounds(contenders, rounds=1)  # to warm up
            taken = in_rounds(contenders, rounds=ROUNDS)
        for running in ours.values():
            running.stop(0)
    tokens = TURNS * NEW_TOKENS
    report(
        [
            Row(
                case=CASES[engine],
                ours=tokens / median(taken[engine]),
                theirs=tokens / median(taken["vllm"]),
                unit="tokens/s",
                against="vLLM's CPU build",
                ratio=median_ratio(taken["vllm"], taken[engine]),
            )
            for engine in ours
        ],
        as_json,
    )


if __name__ == "__main__":
    main()
