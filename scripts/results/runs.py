"""Runs what the page shows: the compliance suite, chaos, the fault tests and the benchmarks."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.service import Service
from scripts.results.about import ROOT, VLLM_PYTHON, said_by
from scripts.results.parts import (
    Part,
    Result,
    benchmark_table,
    reaches,
    read_benchmark,
    read_chaos,
    read_compliance,
    read_tests,
)

SUITE = "https://github.com/openresponses/openresponses"
#: As in the Makefile, in the order in which they are run there.
BENCHMARKS = (
    *("dispatch", "relay", "slicer", "append", "takeover", "storm"),
    *("queue", "cancel", "share", "decode", "constrained", "engine"),
)
QUICK_BENCHMARKS = ("slicer", "decode")
QUICK_TESTS = ("tests/faults/test_socket.py", "tests/faults/test_client.py")
CHAOS_TURNS = {False: 1000, True: 60}
#: A program that takes longer is ended.
LIMIT_SECONDS = 1200.0
END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def why(self) -> str:
        """Its last words."""
        lines = (self.stderr or self.stdout).strip().splitlines() or ["no output"]
        return f"it ended with code {self.code}: {lines[-1]}"


def run(*command: str | Path, folder: Path = ROOT, environ: dict[str, str] | None = None) -> Ended:
    """Run a program to its end; after the limit, or when this one is to end, it is ended."""
    began = time.monotonic()
    # Not pipes: what it started and did not end would keep them open.
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | (environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT_SECONDS)
        finally:
            _end(process)
        seconds = time.monotonic() - began
        said = [file.seek(0) or file.read() for file in (stdout, stderr)]
    return Ended(process.returncode, *said, seconds)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that has not ended: it has a while to end what it started."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Everything that is run, in the order of the page."""

    quick: bool
    #: A checkout of the compliance suite, with what it needs; None: it is not run.
    suite: Path | None
    bun: str
    says: Callable[[str], None] = field(default=lambda _: None)

    def all(self) -> list[Part]:
        """Run all of it; return the parts of the page."""
        parts = []
        for run_part in (self.compliance, self.chaos, self.fault_tests, self.benchmarks):
            self.says(run_part.__name__)
            parts.append(run_part())
        return parts

    def compliance(self) -> Part:
        commit = said_by("git", "-C", self.suite, "rev-parse", "HEAD") if self.suite else ""
        version = f"commit `{commit}`" if commit else "any commit"
        title = "Open Responses compliance"
        command = "bun run bin/compliance-test.ts -u http://127.0.0.1:8000/v1 -k any -m demo"
        says = (
            f"The compliance suite of Open Responses, which is not ours: clone `{SUITE}`"
            f" ({version}), `bun install` there, and name the folder by `--openresponses`. Alone,"
            " there and beside `turnstream up`:"
        )
        reason = ""
        if self.suite is None:
            reason = "no checkout was named by `--openresponses`"
        elif not (self.suite / "bin" / "compliance-test.ts").exists():
            reason = "the folder that `--openresponses` names is no checkout of it"
        elif not (self.suite / "node_modules").exists():
            reason = "`bun install` was not run in its checkout"
        elif not said_by(self.bun, "--version"):
            reason = "there is no `bun`, or `--bun` names none"
        if self.suite is None or reason:
            return Part(title=title, command=command, says=says, result=Result.NOT_RUN, sum=reason)
        with tempfile.TemporaryDirectory() as directory, Service(Path(directory)) as service:
            asked = ("-u", f"{service.url}/v1", "-k", "any", "-m", "demo", "--json")
            ended = run(self.bun, "run", "bin/compliance-test.ts", *asked, folder=self.suite)
        result, total, body = Result.FAILED, ended.why, ""
        if "{" in ended.stdout:
            result, total, body = read_compliance(ended.stdout)
        return Part(
            title=title,
            command=command,
            says=says,
            result=result,
            seconds=ended.seconds,
            sum=total,
            body=body,
        )

    def chaos(self) -> Part:
        command = ("-m", "scripts.chaos", "--turns", str(CHAOS_TURNS[self.quick]))
        ended = run(sys.executable, *command)
        result, total, body = read_chaos(ended.stdout, ended.code)
        return Part(
            title="Chaos",
            command=f".venv/bin/python {shlex.join(command)}",
            says=(
                "Turns under random faults: killed and stopped workers, nodes and Redis, cut"
                " connections, lost wake-ups. The text of every reader is compared with the"
                " record, the log, and the text without faults."
            ),
            result=result,
            seconds=ended.seconds,
            sum=total if body else ended.why,
            body=body,
        )

    def fault_tests(self) -> Part:
        chosen = QUICK_TESTS if self.quick else ("tests/faults",)
        marks = () if self.quick else ("-m", "long or not long")
        environ = {} if self.quick else {"TEST_LONG": "1"}
        with tempfile.TemporaryDirectory() as directory:
            report = Path(directory) / "report.xml"
            # Each file's tests are named by its path.
            options = ("-q", "--junitxml", str(report), "-o", "junit_family=xunit1")
            command = (sys.executable, "-m", "pytest", *chosen, *marks, *options)
            ended = run(*command, environ=environ)
            result, total, body = Result.FAILED, ended.why, ""
            if report.exists():
                result, total, body = read_tests(report.read_text(encoding="utf-8"))
        quick = f".venv/bin/python -m pytest {' '.join(QUICK_TESTS)}"
        return Part(
            title="Fault tests",
            command=quick if self.quick else "make test-faults",
            says="Tests that break one thing at a known moment, and compare what readers got.",
            result=result,
            seconds=ended.seconds,
            sum=total,
            body=body,
        )

    def benchmarks(self) -> Part:
        body, missed, broken, seconds = "", [], [], 0.0
        for name in QUICK_BENCHMARKS if self.quick else BENCHMARKS:
            self.says(f"benchmarks.{name}")
            ended = run(sys.executable, "-m", f"benchmarks.{name}", "--json")
            seconds += ended.seconds
            rows = read_benchmark(ended.stdout)
            missed += [row["case"] for row in rows if not reaches(row)]
            body += f"\n`python -m benchmarks.{name}`, {ended.seconds:.0f} seconds:\n\n"
            body += benchmark_table(rows) if rows else f"**failed**: {ended.why}\n"
            if name == "engine" and not VLLM_PYTHON.exists():
                body += "\nvLLM is not among its peers: `make test-vllm` installs it.\n"
            if ended.code or not rows:
                broken.append(name)
        total = f"{len(missed)} ratios below what is promised"
        if missed:
            total += f" ({', '.join(missed)})"
        if broken:
            total += f"; failed: {', '.join(broken)}"
        chosen = f' BENCHMARKS="{" ".join(QUICK_BENCHMARKS)}"' if self.quick else ""
        return Part(
            title="Benchmarks",
            command=f"make bench{chosen}",
            says=(
                "Ours against a peer or a floor, alternately in one run. A ratio says how many"
                " times better ours is; one below what is promised is bold."
            ),
            result=Result.FAILED if broken else Result.PASSED,
            seconds=seconds,
            sum=total,
            body=body.lstrip("\n"),
        )
