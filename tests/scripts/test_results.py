"""The page of results: what each program printed is on it, and what failed or was left out."""

import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import Row, report
from scripts.results import runs
from scripts.results.about import About
from scripts.results.page import anchor, page
from scripts.results.parts import (
    Part,
    Result,
    benchmark_table,
    read_benchmark,
    read_chaos,
    read_compliance,
    read_tests,
)
from scripts.results.runs import BENCHMARKS, Runs, run

ROOT = Path(__file__).parents[2]
CHAOS = """
| chaos, seed 1 | |
|---|---:|
| turns | 60 |
| readers | 72 |
| node SIGKILL | 2 |
"""
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.faults.test_node" name="test_a" time="1.6"/>
<testcase classname="tests.faults.test_node" name="test_b" time="2.0"><skipped/></testcase>
<testcase classname="tests.faults.test_redis" name="test_c" time="3"><failure>x</failure></testcase>
</testsuite></testsuites>"""


def compliance(**cases: str) -> str:
    """Return what the suite prints; a case that failed has a reason."""
    counted = list(cases.values())
    results = [
        {"id": id.replace("_", "-"), "status": status, "errors": ["a | b"]}
        for id, status in cases.items()
    ]
    summary = {"passed": counted.count("passed"), "total": len(counted)}
    return f"bun says hello\n{json.dumps({'summary': summary, 'results': results})}\n"


def row(**values: Any) -> Row:
    return Row(
        **{"case": "relay", "ours": 2.0, "theirs": 5.0, "unit": "µs", "against": "a peer"} | values
    )


def rows_of(capsys: pytest.CaptureFixture[str], *rows: Row) -> list[dict[str, Any]]:
    report(rows, as_json=True)
    return read_benchmark(capsys.readouterr().out)


def test_a_case_that_is_refused_on_purpose_fails_nothing_and_any_other_does() -> None:
    result, total, body = read_compliance(compliance(basic="passed", image_input="failed"))
    assert (result, total) == (Result.PASSED, "1 of 2 cases passed")
    assert "| `image-input` | refused, since the models read text only |" in body

    result, _, body = read_compliance(compliance(basic="failed"))
    assert result is Result.FAILED
    assert r"| `basic` | **failed**: a \| b |" in body


def test_chaos_passes_only_without_a_violation_and_with_figures() -> None:
    result, total, body = read_chaos(CHAOS, 0)
    assert result is Result.PASSED
    assert total.startswith("60 turns, 72 readers: 0 ")
    assert "| node SIGKILL | 2 |" in body

    result, _, body = read_chaos(f"{CHAOS}VIOLATION resp_1: a gap\n", 1)
    assert result is Result.FAILED
    assert "| resp_1: a gap |" in body
    assert read_chaos("", 0)[0] is Result.FAILED


def test_tests_are_counted_by_file_and_those_that_failed_are_named() -> None:
    result, total, body = read_tests(JUNIT)

    assert (result, total) == (Result.FAILED, "1 passed, 1 failed")
    assert "| `tests/faults/test_node.py` | 1 | 0 | 1 | 4 |" in body
    assert "| `test_c` |" in body
    assert read_tests("<testsuites/>")[0] is Result.FAILED


def test_a_ratio_below_what_is_promised_is_bold(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of(
        capsys, row(ratio=2.5, floor=2.0), row(case="other", ours=8123.4, ratio=1.5, floor=2.0)
    )

    assert benchmark_table(rows).splitlines()[2:] == [
        "| `relay` | 2 | 5 | µs | 2.5 | 2 | a peer |",
        "| `other` | 8,123 | 5 | µs | **1.5** | 2 | a peer |",
    ]


def test_a_benchmark_that_printed_no_json_has_no_rows() -> None:
    assert read_benchmark("case   ours\nKilled\n") == []
    assert read_benchmark("") == []


def test_the_page_says_where_when_and_how_and_why_a_part_is_missing() -> None:
    about = About(
        commit="abc",
        began=datetime(2026, 11, 28, 21, 5, tzinfo=UTC),
        machine=(("cores", "2 of a kind"),),
        versions=(("torch", "2"),),
    )
    more = {"title": "Of others", "command": "make it", "says": "It is theirs."}
    parts = [
        Part(**more, result=Result.NOT_RUN, sum="there is no bun"),
        Part(**more | {"title": "Ours"}, result=Result.PASSED, seconds=61, sum="all", body="B\n"),
    ]
    text = page(about, parts, command="python -m scripts.results", minutes=2.2)

    for line in (
        "    python -m scripts.results",
        "| began | 2026-11-28 21:05 UTC |",
        "| took | 2 minutes |",
        "| cores | 2 of a kind |",
        "| [Of others](#of-others) | not run | there is no bun |  |",
        "| [Ours](#ours) | passed | all | 61 |",
        "Not run: there is no bun.",
    ):
        assert line in text.splitlines()
    assert "## Ours\n\nIt is theirs.\n\n    make it\n\nB\n" in text


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ([], "is no checkout"),
        (["bin/compliance-test.ts"], "`bun install` was not run"),
        (["bin/compliance-test.ts", "node_modules/x"], "there is no `bun`"),
    ],
)
def test_a_suite_that_cannot_run_is_left_out_with_the_reason(
    tmp_path: Path, made: list[str], reason: str
) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    part = Runs(quick=True, suite=tmp_path, bun="no-such-bun").compliance()

    assert part.result is Result.NOT_RUN
    assert reason in part.sum


def test_a_program_that_fails_says_its_last_words() -> None:
    ended = run(sys.executable, "-c", "import sys; print('well', file=sys.stderr); sys.exit('bad')")

    assert ended.why == "it ended with code 1: bad"


def test_a_program_that_does_not_end_when_it_should_is_killed_whatever_it_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "LIMIT_SECONDS", 1.0)
    monkeypatch.setattr(runs, "END_SECONDS", 0.2)
    left = tmp_path / "pid"
    # The first one keeps open what both write to.
    program = f"trap '' TERM; sleep 60 & echo $! > {left}; echo well; exec sleep 60"

    ended = run("sh", "-c", program)
    os.kill(int(left.read_text()), signal.SIGKILL)

    assert (ended.code, ended.stdout) == (-signal.SIGKILL, "well\n")


def test_the_benchmarks_of_the_page_are_those_of_make_bench() -> None:
    [line] = [
        line
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if line.startswith("BENCHMARKS :=")
    ]
    assert tuple(line.split()[2:]) == BENCHMARKS


def test_the_published_page_has_every_field_and_part() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")

    for name in ("commit", "began", "took", "cores", "memory", "Python", "Redis server", "torch"):
        assert f"\n| {name} | " in text
    for title in ("Open Responses compliance", "Chaos", "Fault tests", "Benchmarks"):
        assert f"\n## {title}\n" in text
        assert f"](#{anchor(title)})" in text
