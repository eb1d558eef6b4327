"""Benchmarks, scripts and harness import nothing from the tests."""

import re
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
