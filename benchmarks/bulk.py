"""Throughput of batches against the engine alone, and memory of a large batch against a small one.

Throughput: the same 2,000 requests as batches through the whole service and, alternately, by the
engine alone; same model, same settings, same tokens. Memory: the peak of the front end, which runs
the batch, and of Redis for a million tiny lines and for ten thousand, with a stub for the engine.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from benchmarks import bulk_memory, whole_service
from benchmarks.bulk_memory import Peak
from benchmarks.processes import (
    answers_http,
    end_on_sigterm,
    front_end,
    python,
    redis_server,
    running,
)
from benchmarks.report import Row, median_ratio, report
from turnstream.workers import openmp

#: The requests are divided into this many batches, because a machine's speed drifts within minutes.
REQUESTS, ROUNDS = 2_000, 3
TOKENS = 64
#: Lines of the small batch and of the large one.
LINES = (10_000, 1_000_000)
#: What the project promises: a share of the engine's rate, and a ratio of peaks.
LEAST_THROUGHPUT, MOST_GROWTH = 0.9, 1.5
LOOK_SECONDS = 0.5
_QUESTIONS = ("Do you know the movie Titanic?", "Write a poem.", "What is the capital of France?")
_OVER = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and the environment of a worker that serves it."""

    name: str
    environ: Mapping[str, str]


DEMO = Model("demo", {"TURNSTREAM_MODEL": "demo", "TURNSTREAM_DEVICE": "cpu"})


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens that were generated, and the time it took."""

    seconds: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


def write_requests(path: Path, count: int) -> None:
    """Write requests whose greedy answers are the same whoever computes them."""
    with path.open("w") as out:
        for number in range(count):
            question = f"{_QUESTIONS[number % len(_QUESTIONS)]} ({number})"
            body = {"input": question, "temperature": 0, "max_output_tokens": TOKENS}
            line = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/responses"}
            out.write(json.dumps(line | {"body": body}) + "\n")


@contextmanager
def bare_engine(directory: Path, model: Model, requests: Path) -> Iterator[Callable[[], Run]]:
    """Load the engine alone; yield a call that answers all requests once."""
    command = python("benchmarks.bare_engine", str(requests))
    environ = model.environ | openmp.SETTINGS
    with running(
        "engine", *command, directory=directory, environ=environ, listen=True, talk=True
    ) as process:
        while process.next_line() != "ready":
            pass

        def answer() -> Run:
            assert process.popen.stdin is not None
            process.popen.stdin.write("go\n")
            process.popen.stdin.flush()
            seconds, tokens = process.next_line().split()
            return Run(float(seconds), int(tokens))

        yield answer


@contextmanager
def service(directory: Path, model: Model, requests: Path) -> Iterator[Callable[[], Run]]:
    """Run the whole service with one worker; yield a call that answers everything as a batch."""
    with redis_server(directory) as url, front_end(directory, url, model.name) as front:
        environ = model.environ | {"TURNSTREAM_REDIS_URL": url}
        worker = running(
            "worker", *python("turnstream", "worker"), directory=directory, environ=environ
        )
        base = f"http://{front.address}"
        with worker as process, httpx2.Client(base_url=f"{base}/v1", timeout=60) as http:
            process.wait_until(lambda: answers_http(f"{base}/readyz"))
            with requests.open("rb") as content:
                form = {"file": ("in.jsonl", content)}
                file = http.post("/files", data={"purpose": "batch"}, files=form).json()["id"]
            yield lambda: as_batch(http, file)


def as_batch(http: httpx2.Client, file: str) -> Run:
    """Run a file as a batch; measure from its creation until its status is final."""
    begun = time.perf_counter()
    asked = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    batch: dict[str, Any] = http.post("/batches", json=asked).json()
    while batch["status"] not in _OVER:
        time.sleep(LOOK_SECONDS)
        batch = http.get(f"/batches/{batch['id']}").json()
    seconds = time.perf_counter() - begun
    if batch["request_counts"]["completed"] != batch["request_counts"]["total"]:
        raise bulk_memory.NotAnswered(json.dumps(batch))
    return Run(seconds, batch["usage"]["output_tokens"])


def throughput(
    directory: Path, model: Model, *, count: int, rounds: int
) -> tuple[list[Run], list[Run]]:
    """Return the runs of the service and of the engine, alternately, by round."""
    requests = directory / "requests.jsonl"
    write_requests(requests, count)
    ours, theirs = [], []
    with (
        bare_engine(directory, model, requests) as engine,
        service(directory, model, requests) as batch,
    ):
        for _ in range(rounds):
            theirs.append(engine())
            ours.append(batch())
            print(
                f"{model.name}: {ours[-1].rate:.0f} tokens/s as a batch,"
                f" {theirs[-1].rate:.0f} by the engine",
                file=sys.stderr,
            )
    return ours, theirs


def large_model(directory: Path) -> Model:
    """Save the model of `benchmarks.engine`; return it with the settings of its worker."""
    folder = directory / whole_service.MODEL
    whole_service.make_checkpoint(folder)
    return Model(whole_service.MODEL, whole_service.settings(folder))


def throughput_row(
    case: str, ours: Sequence[Run], theirs: Sequence[Run], *, floor: float | None
) -> Row:
    return Row(
        case=case,
        ours=median(run.rate for run in ours),
        theirs=median(run.rate for run in theirs),
        unit="tokens/s",
        against="the engine alone on the same prompts",
        # The arguments are rates, so they are in the opposite order of seconds.
        ratio=median_ratio([run.rate for run in ours], [run.rate for run in theirs]),
        floor=floor,
    )


def memory_rows(small: Peak, large: Peak) -> list[Row]:
    return [
        Row(
            case=f"bulk_memory_{name}",
            ours=ours / 1e6,
            theirs=theirs / 1e6,
            unit="MB",
            against=f"{small.lines} lines; ours are {large.lines}",
            ratio=theirs / ours,
            floor=1 / MOST_GROWTH,
        )
        for name, ours, theirs in (
            ("front_end", large.front_end, small.front_end),
            ("redis", large.redis, small.redis),
        )
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument(
        "--requests",
        type=int,
        default=REQUESTS,
        help="of the throughput comparison",
    )
    parser.add_argument("--lines", type=int, default=LINES[1], help="of the large batch")
    options = parser.parse_args()
    end_on_sigterm()
    rows: list[Row] = []
    with TemporaryDirectory() as name:
        directory = Path(name)
        for case, model, floor in (
            ("bulk_throughput", large_model(directory), LEAST_THROUGHPUT),
            ("bulk_throughput_demo", DEMO, None),
        ):
            home = directory / case
            home.mkdir()
            count = options.requests // ROUNDS
            ours, theirs = throughput(home, model, count=count, rounds=ROUNDS)
            rows.append(throughput_row(case, ours, theirs, floor=floor))
        sizes: Sequence[int] = (min(LINES[0], options.lines), options.lines)
        small, large = (
            bulk_memory.measure(directory / f"memory-{index}", lines)
            for index, lines in enumerate(sizes)
        )
        rows += memory_rows(small, large)
        print(f"{large.lines / large.seconds:.0f} lines per second with the stub")
    report(rows, options.json)


if __name__ == "__main__":
    main()
