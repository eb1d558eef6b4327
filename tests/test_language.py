"""Code and documentation use the words of docs/glossary.md, not the private ones of before.

A word that is right in its ordinary meaning is allowed in one file, by an entry below.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (
    *("cli", "client", "prompts", "turns", "workers", "ws_server"),
    *("tests", "harness", "benchmarks", "scripts"),
)
#: Texts that the demo model learns, and documents that tell old names from new ones.
EXEMPT = (
    "scripts/demo_model/",
    "docs/glossary.md",
    "docs/RENAMED.md",
    "CHANGELOG.md",
    "RENAMED.md",
    "tests/test_language.py",
)
#: Each as a whole word; a name is split into its words first. A dead letter is the field's word.
BANNED = re.compile(
    r"\b(bells?|beats?|lent|recalled|giv(?:e|es|ing) way|desks?|errands?|clerks?|houses?"
    r"|contenders?|(?<!dead[ -])letters?|mails?|habits?|seats?|patient"
    r"|hand(?:s|ed|ing)? (?:in|on|out)|hear|heard|zombies?|floors|doubts?|stretch(?:es|ed)?)\b",
    re.IGNORECASE,
)
#: Where the ordinary meaning is right.
ALLOWED = {
    # Of an alphabet, and "to the letter".
    ("docs/echo-drift.md", "letters"),
    ("docs/reliability.md", "letter"),
    ("docs/wire.md", "letters"),
    ("workers/demo/README.md", "letter"),
    ("tests/prompts/chatstream/test_replacements.py", "letters"),
    ("tests/workers/test_slicer_probe.py", "letters"),
    ("tests/workers/test_slicer_properties.py", "letters"),
    # Lower bounds of a benchmark's results.
    ("benchmarks/engine.py", "floors"),
    ("tests/benchmarks/test_dispatch.py", "floors"),
    # Keys of earlier releases, which the migration renames.
    ("turns/lua_scripts/migrate.lua", "beats"),
    ("turns/lua_scripts/migrate.lua", "lent"),
    ("turns/lua_scripts/migrate.lua", "recalled"),
}


def sources() -> Iterator[Path]:
    """Yield the files that the rule holds for."""
    found = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*")]
    found += [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for file in found:
        name = file.relative_to(ROOT).as_posix()
        if file.suffix in (".py", ".lua", ".md") and not name.startswith(EXEMPT):
            yield file


def prose(file: Path) -> str:
    """Return the words to check: of Python comments, docstrings and names, else the whole text."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return spaced(text)
    parts = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type in (tokenize.COMMENT, tokenize.NAME)
    ]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    parts += [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented)
    ]
    # A mark between parts, so that neighbouring names are not read as a phrase.
    return spaced(" | ".join(parts))


def spaced(text: str) -> str:
    """Split names into words: `hand_in` and `HandIn` are `hand in`."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return re.sub(r"[_\s#]+", " ", text)


@cache
def hits() -> set[tuple[str, str]]:
    """Return the private words that are used, by file.

    A file is divided into its tokens, which takes long, only if its text has such a word at all.
    """
    return {
        (file.relative_to(ROOT).as_posix(), match.lower())
        for file in sources()
        if BANNED.search(spaced(file.read_text(encoding="utf-8")))
        for match in BANNED.findall(prose(file))
    }


def test_no_private_word_is_used() -> None:
    assert sorted(hits() - ALLOWED) == []


def test_every_exception_is_needed() -> None:
    assert sorted(ALLOWED - hits()) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def hand_in() -> None: ...", "hand in"),
        ("class FrontDesk: ...", "Desk"),
        ("x = 1  # a bell\n", "bell"),
        ('"""It gives\nway."""', "gives way"),
    ],
)
def test_a_private_word_is_found_in_names_comments_and_docstrings(
    text: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / "sample.py").write_text(text)

    assert BANNED.findall(prose(tmp_path / "sample.py")) == [word]


def test_a_private_word_in_a_string_or_within_another_word_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text('heartbeat = "a bell"  # warehouse, e-mailed\n')

    assert BANNED.findall(prose(tmp_path / "sample.py")) == []
