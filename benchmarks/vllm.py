"""The engine on a CPU, held against vLLM's CPU build: the same model, prompts of the same lengths.

It needs `.venv-vllm`, which `make test-vllm` makes, so `make bench` leaves it out.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.batch import CONTEXT, NEW_TOKENS, TURNS, Asker, new_model, our_engines, timed
from benchmarks.contender import contender
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
    asker = Asker()
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder, cache = Path(name, "model"), Path(name, "cache")
        new_model().save_pretrained(folder)
        runs = {
            who: stack.enter_context(contender(who, folder, cache)) for who in our_engines(cache)
        }
        runs["vllm"] = stack.enter_context(
            vllm_peer(folder, rows=TURNS, context=CONTEXT, max_tokens=NEW_TOKENS)
        )
        contenders = timed(runs, asker)
        in_rounds(contenders, rounds=1)  # to warm up
        taken = in_rounds(contenders, rounds=ROUNDS)
    tokens = TURNS * NEW_TOKENS
    report(
        [
            Row(
                case=CASES[who],
                ours=tokens / median(taken[who]),
                theirs=tokens / median(taken["vllm"]),
                unit="tokens/s",
                against="vLLM's CPU build",
                ratio=median_ratio(taken["vllm"], taken[who]),
            )
            for who in taken
            if who in CASES
        ],
        as_json,
    )


if __name__ == "__main__":
    main()
