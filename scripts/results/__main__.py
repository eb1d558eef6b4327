"""Runs everything that can be counted or measured, and writes docs/results.md from it.

python -m scripts.results [--quick] [--openresponses DIR] [--bun PROGRAM] [--output FILE]

What fails is written into the page, too; the exit code is then 1.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.processes import end_on_sigterm
from scripts.results.about import ROOT, About
from scripts.results.page import page
from scripts.results.parts import Result
from scripts.results.runs import Runs

PAGE = ROOT / "docs" / "results.md"


def main() -> int:
    """Run it all and write the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.results")
    parser.add_argument(
        "--quick", action="store_true", help="a few minutes; printed, unless --output is given"
    )
    parser.add_argument(
        "--openresponses", type=Path, metavar="DIR", help="a checkout of the compliance suite"
    )
    parser.add_argument("--bun", default="bun", metavar="PROGRAM", help="what runs that suite")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"instead of {PAGE.name}")
    given = parser.parse_args()
    end_on_sigterm()

    about, began = About.here(), time.monotonic()
    runs = Runs(
        quick=given.quick,
        suite=given.openresponses and given.openresponses.resolve(),
        bun=given.bun,
        says=lambda part: print(f"results: {part} …", file=sys.stderr, flush=True),
    )
    parts = runs.all()
    command = "python -m scripts.results"
    command += " --quick" if given.quick else ""
    command += " --openresponses DIR" if given.openresponses else ""
    text = page(about, parts, command=command, minutes=(time.monotonic() - began) / 60)
    output = given.output or (None if given.quick else PAGE)
    if output is None:
        print(text)
    else:
        output.write_text(text, encoding="utf-8")
    return int(any(part.result is Result.FAILED for part in parts))


if __name__ == "__main__":
    sys.exit(main())
