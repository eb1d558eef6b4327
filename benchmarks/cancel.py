"""How long an answer goes on after its reader has asked for its end, against two steps and 50 ms.

A whole service with the demo model answers several questions at once. One reader asks for the end
of its answer somewhere in the middle, and what counts is when the last slice reaches it after that,
which is later than it left the worker. The step time is measured in the same run, from the slices
of the answers themselves.
"""

import json
import random
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from websockets.sync.client import ClientConnection, connect

from benchmarks.percentile import percentile
from benchmarks.processes import end_on_sigterm, front_end, python, redis_server, running
from benchmarks.report import Row, report, wants_json

MODEL = "demo"
ROUNDS = 200
#: Answers that go on beside the one that is stopped.
NEIGHBOURS = 3
STEPS, EXTRA_MS = 2, 50.0
#: Slices that are read before the end is asked for.
SLICES = (0, 30)
PATIENCE_SECONDS = 60.0
QUESTION = {
    "type": "response.create",
    "input": "Write a long story.",
    "temperature": 2,
    "max_output_tokens": 1500,
}
_DELTA = "response.output_text.delta"
_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(frozen=True, slots=True)
class Stopped:
    """One answer that was stopped."""

    #: From the command, at the reader, to the last slice there; 0 when none came after it.
    last_slice_ms: float
    #: To the end.
    end_ms: float
    #: Between slices before it: the step time, if the worker kept up.
    gaps_ms: tuple[float, ...]


def one(url: str, slices: int) -> Stopped | None:
    """Have a question answered and stop it after so many slices; None if it ended by itself."""
    with _connected(url) as socket:
        socket.send(json.dumps(QUESTION))
        heard: list[float] = []
        while len(heard) < slices or not heard:
            kind = _next(socket)
            if kind in _ENDS:
                return None
            if kind == _DELTA or (slices == 0 and kind == "response.in_progress"):
                heard.append(time.perf_counter())
        asked = last = time.perf_counter()
        socket.send(json.dumps({"type": "response.cancel"}))
        while (kind := _next(socket)) not in _ENDS:
            if kind == _DELTA:
                last = time.perf_counter()
        end = time.perf_counter()
        if kind != "response.incomplete":
            return None
    gaps = tuple(1e3 * (b - a) for a, b in pairwise(heard))
    return Stopped(1e3 * (last - asked), 1e3 * (end - asked), gaps)


def _next(socket: ClientConnection) -> str:
    kind: str = json.loads(socket.recv(timeout=PATIENCE_SECONDS))["type"]
    return kind


def _connected(url: str) -> ClientConnection:
    return connect(url, compression=None, proxy=None, open_timeout=PATIENCE_SECONDS)


def measure(rounds: int, *, neighbours: int = NEIGHBOURS) -> list[Stopped]:
    """Stop so many answers of a service of its own."""
    environ = {"TURNSTREAM_MODEL": MODEL, "TURNSTREAM_DEVICE": "cpu"}
    with (
        TemporaryDirectory() as name,
        redis_server(Path(name)) as redis_url,
        front_end(Path(name), redis_url, MODEL) as front,
        running(
            "worker",
            *python("turnstream", "worker"),
            directory=Path(name),
            environ=environ | {"TURNSTREAM_REDIS_URL": redis_url},
        ),
    ):
        url = f"ws://{front.address}/v1/responses"
        stopped: list[Stopped] = []
        with _connected(url) as others:
            lanes = [f"lane-{n}" for n in range(neighbours)]
            for lane in lanes:
                others.send(json.dumps(QUESTION | {"stream_id": lane}))
            while len(stopped) < rounds:
                if (found := one(url, random.randint(*SLICES))) is not None:
                    stopped.append(found)
                    if len(stopped) % 20 == 0:
                        print(f"{len(stopped)} of {rounds}", file=sys.stderr)
                _keep_going(others)
        return stopped


def _keep_going(others: ClientConnection) -> None:
    """Read what the neighbours say, and ask again on each lane whose answer has ended."""
    while True:
        try:
            event = json.loads(others.recv(timeout=0))
        except TimeoutError:
            return
        if event["type"] in _ENDS:
            others.send(json.dumps(QUESTION | {"stream_id": event["stream_id"]}))


def rows(stopped: list[Stopped]) -> list[Row]:
    """Hold what was measured against the bound that its own steps give."""
    step = percentile([gap for each in stopped for gap in each.gaps_ms], 0.5)
    bound = STEPS * step + EXTRA_MS
    against = f"{STEPS} steps of {step:.1f} ms + {EXTRA_MS:.0f} ms"
    found = []
    for name, share, floor in (("p50", 0.5, None), ("p99", 0.99, 1.0)):
        last = percentile([each.last_slice_ms for each in stopped], share)
        end = percentile([each.end_ms for each in stopped], share)
        for case, ours in (("last_slice", last), ("end", end)):
            found.append(
                Row(
                    case=f"{case}_{name}",
                    ours=ours,
                    theirs=bound,
                    unit="ms",
                    against=against,
                    ratio=bound / max(ours, 0.001),
                    floor=floor if case == "last_slice" else None,
                )
            )
    return found


def main() -> None:
    as_json = wants_json((__doc__ or "").splitlines()[0])
    end_on_sigterm()
    report(rows(measure(ROUNDS)), as_json)


if __name__ == "__main__":
    main()
