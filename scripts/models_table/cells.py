"""The cells of the table of models, read from the marks of tests without running any.

A test has the mark ``model_cell(family, weights, engine, how)``, or several; a parameter may too.
"""

import importlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- scripts.models_table writes from here -->\n", "<!-- to here -->\n"
ENGINES = ("slot", "vllm")
#: What a test may say of a cell; docs/models.md has the meanings.
WAYS = ("run", "shape", "not run", "refused")
MARK = "model_cell"

_HEAD = "| family | weights | `slot` | `vllm` | seen by |\n|---|---|---|---|---|\n"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cell:
    """What one test says of a family in a form, with one engine."""

    family: str
    weights: str
    engine: str
    how: str
    #: The test's file, below `tests`.
    file: str

    def __post_init__(self) -> None:
        if self.engine not in ENGINES or self.how not in WAYS:
            raise ValueError(f"not a cell of the table: {self}")


def marked() -> list[Cell]:
    """Return the cells of all tests, in the order of the table."""
    found: set[Cell] = set()
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        if f"mark.{MARK}" in file.read_text(encoding="utf-8"):
            found.update(_of_file(file))
    return sorted(found)


def cell_of(mark: Any, file: Path) -> Cell:
    """Return the cell that a mark stands for."""
    family, weights, engine, how = mark.args
    below = str(file.relative_to(ROOT / "tests"))
    return Cell(family=family, weights=weights, engine=engine, how=how, file=below)


def table(cells: Iterable[Cell]) -> str:
    """Return the table; families of which the same is true share a row.

    Raises:
        ValueError: two tests say different things of one cell.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    files: dict[tuple[str, str], set[str]] = {}
    for cell in sorted(cells):
        row = rows.setdefault((cell.family, cell.weights), {})
        if row.setdefault(cell.engine, cell.how) != cell.how:
            raise ValueError(f"tests disagree about {cell}")
        files.setdefault((cell.family, cell.weights), set()).add(f"`{cell.file}`")
    families: dict[tuple[str, ...], list[str]] = {}
    for (family, weights), row in rows.items():
        hows = (row.get(engine, "–") for engine in ENGINES)
        alike = (weights, *hows, ", ".join(sorted(files[family, weights])))
        families.setdefault(alike, []).append(family)
    lines = [" | ".join((", ".join(same), *rest)) for rest, same in families.items()]
    return _HEAD + "".join(f"| {line} |\n" for line in lines)


def written() -> str:
    """Return the table that the page has now."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write(text: str) -> None:
    """Replace the table of the page."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + begin + text + END + after, encoding="utf-8")


def _of_file(file: Path) -> Iterator[Cell]:
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name)
    for test in vars(module).values():
        if inspect.isfunction(test) and test.__module__ == name:
            for mark in _marks(getattr(test, "pytestmark", ())):
                yield cell_of(mark, file)


def _marks(marks: Iterable[Any]) -> Iterator[Any]:
    """Yield the marks of cells among those of a test and of its parameters."""
    for mark in marks:
        if mark.name == MARK:
            yield mark
        elif mark.name == "parametrize":
            for values in mark.args[1]:
                yield from _marks(getattr(values, "marks", ()))
