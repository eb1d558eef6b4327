"""Reads facts, tables and lists from the text files in `texts/`.

A file of facts has a paragraph for each fact: the phrase of a right answer, the answer, the short
answer, and a line for each wording; `unseen` ones are for the evaluation. `\\n` is a line break.
"""

from pathlib import Path

from scripts.demo_model.fact import Fact, Wordings

_TEXTS = Path(__file__).parent / "texts"


def read_text(name: str) -> str:
    """Return a file's text, without the line break at its end."""
    return (_TEXTS / name).read_text(encoding="utf-8").removesuffix("\n")


def read_lines(name: str) -> list[str]:
    """Return a file's lines."""
    return read_text(name).split("\n")


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table; its first line names the columns."""
    columns, *rows = (line.split(" | ") for line in read_lines(name))
    return [dict(zip(columns, row, strict=True)) for row in rows]


def read_facts(topic: str, name: str) -> tuple[Fact, ...]:
    """Return the facts of a file."""
    return tuple(_fact(topic, paragraph) for paragraph in read_text(name).split("\n\n"))


def _fact(topic: str, paragraph: str) -> Fact:
    entries: dict[str, list[str]] = {}
    for line in paragraph.split("\n"):
        key, text = line.split(" ", 1)
        entries.setdefault(key, []).append(text.replace("\\n", "\n"))
    return Fact(
        topic=topic,
        phrase=entries["phrase"][0],
        answer=entries["answer"][0],
        brief=entries["brief"][0],
        asked=Wordings(seen=tuple(entries["ask"]), unseen=tuple(entries.get("unseen", ()))).fill(
            {}
        ),
    )
