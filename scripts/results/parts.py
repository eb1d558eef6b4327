"""What each program of the run printed, read into a part of the page.

Nothing is run here. A part that was not run says why in place of its table.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from xml.etree import ElementTree

#: Cases of the compliance suite that are refused, and why.
REFUSED = {"image-input": "refused, since the models read text only"}


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "**failed**"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the page."""

    title: str
    #: What a person types to repeat this part alone.
    command: str
    says: str
    result: Result
    seconds: float = 0.0
    #: In a line: how many, or why it was not run.
    sum: str
    #: Its tables, in Markdown.
    body: str = ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown.

    Args:
        head: names of columns; one that begins with `>` is aligned to the right.
    """
    lines = [
        [name.removeprefix(">") for name in head],
        ["---:" if name.startswith(">") else "---" for name in head],
        *([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def read_compliance(printed: str) -> tuple[Result, str, str]:
    """Return result, sum and table of what the compliance suite printed with `--json`."""
    found: dict[str, Any] = json.loads(printed[printed.index("{") :])
    rows, result = [], Result.PASSED
    for case in sorted(found["results"], key=lambda case: str(case["id"])):
        how = case["status"]
        if how == "failed" and case["id"] in REFUSED:
            how = REFUSED[case["id"]]
        elif how == "failed":
            result = Result.FAILED
            how = f"**failed**: {'; '.join(case.get('errors') or ['no reason given'])}"
        elif how == "skipped":
            how = f"skipped: {'; '.join(case.get('errors') or ['no reason given'])}"
        rows.append((f"`{case['id']}`", how))
    counts = found["summary"]
    return (
        result,
        f"{counts['passed']} of {counts['total']} cases passed",
        table(("case", "result"), rows),
    )


def read_chaos(printed: str, code: int) -> tuple[Result, str, str]:
    """Return result, sum and table of what `scripts.chaos` printed."""
    lines = printed.splitlines()
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in lines
        if line.startswith("|") and not line.startswith(("| chaos", "|---"))
    ]
    counts = dict(rows)
    violations = [[line.removeprefix("VIOLATION ")] for line in lines if "VIOLATION" in line]
    said = (
        f"{counts.get('turns', 0)} turns, {counts.get('readers', 0)} readers:"
        f" {len(violations)} texts that differ, gaps, repeats or second ends"
    )
    body = table(("counted", ">number"), rows)
    if violations:
        body += "\n" + table(("what went wrong",), violations)
    return (Result.FAILED if code or not rows else Result.PASSED), said, body


def read_tests(junit: str) -> tuple[Result, str, str]:
    """Return result, sum and table, a row for each file, of pytest's JUnit report."""
    files: dict[str, list[tuple[str, float, str]]] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        kinds = {child.tag for child in case}
        how = "failed" if kinds & {"failure", "error"} else "passed"
        how = "skipped" if "skipped" in kinds else how
        name, seconds = case.get("name", ""), float(case.get("time", 0))
        files.setdefault(case.get("classname", ""), []).append((how, seconds, name))
    rows = []
    for file, cases in sorted(files.items()):
        hows = [how for how, _, _ in cases]
        counts = (hows.count("passed"), hows.count("failed"), hows.count("skipped"))
        took = sum(seconds for _, seconds, _ in cases)
        rows.append((f"`{file.replace('.', '/')}.py`", *counts, f"{took:.0f}"))
    every = [case for cases in files.values() for case in cases]
    failed = [[f"`{name}`"] for how, _, name in every if how == "failed"]
    body = table(("file", ">passed", ">failed", ">skipped", ">seconds"), rows)
    if failed:
        body += "\n" + table(("failed",), failed)
    passed = sum(how == "passed" for how, _, _ in every)
    result = Result.FAILED if failed or not passed else Result.PASSED
    return result, f"{passed} passed, {len(failed)} failed", body


def read_benchmark(printed: str) -> list[dict[str, Any]]:
    """Return the rows of a benchmark that ran with `--json`, or none if it printed none."""
    last = printed.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return []
    found: dict[str, dict[str, Any]] = json.loads(last)
    return [{"case": case, **row} for case, row in found.items()]


def benchmark_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of one benchmark: ours and its peer, of the same run."""
    return table(
        ("case", ">ours", ">peer", "unit", ">ratio", ">promised", "the peer is"),
        (
            (
                f"`{row['case']}`",
                number(row["ours"]),
                number(row["theirs"]),
                row["unit"],
                number(row["ratio"]) if reaches(row) else f"**{number(row['ratio'])}**",
                "" if row["floor"] is None else f"{row['floor']:g}",
                row["against"],
            )
            for row in rows
        ),
    )


def number(value: float) -> str:
    """Return a figure with three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def reaches(row: Mapping[str, Any]) -> bool:
    """Return whether a ratio is at least what is promised, if anything is."""
    return row["floor"] is None or row["ratio"] >= row["floor"]
