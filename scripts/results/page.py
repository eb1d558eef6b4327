"""Writes the page of results from its parts."""

from collections.abc import Sequence

from scripts.results.about import About
from scripts.results.parts import Part, Result, table

HEAD = """\
# Results

One run of everything that can be counted or measured here, on one machine, made by one command;
nothing was edited. To repeat it, on a machine without other work:

    {command}

`make results` does the same, and `--quick` a short form of it. Ratios within the run can be
compared with those of other machines, seconds cannot;
[benchmarks/README.md](../benchmarks/README.md) says what each case is.
"""


def page(about: About, parts: Sequence[Part], *, command: str, minutes: float) -> str:
    """Return the whole page."""
    facts = [
        ("commit", about.commit),
        ("began", f"{about.began:%Y-%m-%d %H:%M} UTC"),
        ("took", f"{minutes:.0f} minutes"),
        *about.machine,
        *about.versions,
    ]
    parts_table = table(
        ("part", "result", "in short", ">seconds"),
        (
            (f"[{part.title}](#{anchor(part.title)})", part.result, part.sum, _seconds(part))
            for part in parts
        ),
    )
    sections = "".join(_section(part) for part in parts)
    return f"{HEAD.format(command=command)}\n{table(('', ''), facts)}\n{parts_table}{sections}"


def anchor(title: str) -> str:
    """Return what a heading is called in a link."""
    return title.lower().replace(" ", "-")


def _seconds(part: Part) -> str:
    return "" if part.result is Result.NOT_RUN else f"{part.seconds:.0f}"


def _section(part: Part) -> str:
    body = part.body or f"{part.result.capitalize()}: {part.sum}.\n"
    return f"\n## {part.title}\n\n{part.says}\n\n    {part.command}\n\n{body}"
