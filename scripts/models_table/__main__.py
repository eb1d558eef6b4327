"""Runs the tests that are marked `model_cell`, in both environments, and writes the table.

python -m scripts.models_table

Nothing is written unless all of them pass. It takes about ten minutes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.models_table.cells import MARK, ROOT, Cell, marked, table, write

#: Where `make test-vllm` installs vLLM.
_VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
#: What is long is run, too.
_OPTIONS = ("-p", "scripts.models_table.plugin", "-m", MARK, "-W", "default")


def main() -> int:
    """Run the tests and write the table; return the exit code."""
    if not _VLLM_PYTHON.exists():
        print("there is no .venv-vllm: run `make test-vllm` first", file=sys.stderr)
        return 1
    passed: set[Cell] = set()
    failed: list[str] = []
    for python, folder in ((Path(sys.executable), "tests/workers"), (_VLLM_PYTHON, "tests/vllm")):
        some, other = _run(python, folder)
        passed |= some
        failed += other
    failed += [str(cell) for cell in set(marked()) - passed]
    if failed:
        print("the table stays as it is; these did not pass:", *failed, sep="\n", file=sys.stderr)
        return 1
    write(table(passed))
    print(f"{len(passed)} cells written")
    return 0


def _run(python: Path, folder: str) -> tuple[set[Cell], list[str]]:
    """Run the marked tests of a folder; return the cells, and the tests that did not pass."""
    with tempfile.TemporaryDirectory() as temporary:
        to = Path(temporary) / "cells.json"
        subprocess.run(
            [python, "-m", "pytest", "-q", *_OPTIONS, "--cells-to", to, folder],
            cwd=ROOT,
            check=False,
        )
        found = json.loads(to.read_text(encoding="utf-8"))
    cells = set()
    for file, family, weights, engine, how in found["passed"]:
        below = str(Path(file).relative_to(ROOT / "tests"))
        cells.add(Cell(family=family, weights=weights, engine=engine, how=how, file=below))
    return cells, found["other"]


if __name__ == "__main__":
    sys.exit(main())
