"""Benchmarks, scripts and harness import nothing from the tests; and what tests import is there."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: An import of `tests`, also one inside a string that is run as a program.
IMPORT = re.compile(r"\b(?:import|from)\s+tests\b|\btests\.\w+ as\b|import\s.*,\s*tests\.")


@pytest.mark.parametrize("folder", ["benchmarks", "scripts", "harness"])
def test_a_folder_imports_nothing_from_the_tests(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    importing = [str(file) for file in files if IMPORT.search(file.read_text(encoding="utf-8"))]

    assert files
    assert importing == []


@pytest.mark.parametrize(
    "code",
    [
        "from tests import tiny_llama",
        "import tests.browser",
        "import sys, tests.tiny_llama as t",
        "    from tests.effort import examples",
    ],
)
def test_an_import_from_the_tests_is_found(code: str) -> None:
    assert IMPORT.search(code)


def taken_from_tests(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each module of `tests` that the files of a folder import from, and what they take."""
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                for each in node.names:
                    yield str(node.module), each.name


def test_what_vllms_tests_take_from_others_is_there() -> None:
    # They run by themselves, where nobody who moves a test sees them.
    needed = [
        (module, name)
        for module, name in taken_from_tests(ROOT / "tests" / "vllm")
        if not module.startswith("tests.vllm")
    ]

    assert needed
    for module, name in needed:
        found = import_module(module)
        assert name == "*" or hasattr(found, name), f"{module} has no {name}"
