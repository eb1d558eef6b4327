"""How long slices of a turn still arrive after it was cancelled, against two steps and 50 ms.

A whole service with the demo model answers several turns at once. One reader cancels its turn after
a random number of slices; the result is the time until its last slice, at the reader. The step time
is measured in the same run, from the gaps between the slices.
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

from benchmarks.processes import end_on_sigterm, front_end, python, redis_server, running
from benchmarks.report import Row, percentile, report, wants_json

MODEL = "demo"
ROUNDS = 200
#: Turns that run beside the one that is cancelled.
NEIGHBOURS = 3
STEPS, EXTRA_MS = 2, 50.0
#: Slices that are read before the cancel: at least, at most.
SLICES = (0, 30)
TIMEOUT_SECONDS = 60.0
QUESTION = {
    "type": "response.create",
    "input": "Write a long story.",
    "temperature": 2,
    "max_output_tokens": 1500,
}
_DELTA = "response.output_text.delta"
_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """One turn that was cancelled."""

    #: From the cancel to the last slice, at the reader; 0 when no slice followed.
    last_slice_ms: float
    #: Gaps between the slices before the cancel: the step time, if the worker kept up.
    gaps_ms: tuple[float, ...]


def cancel_one(url: str, slices: int) -> Cancelled | None:
    """Cancel a turn after so many slices; return None if it ended before the cancel."""
    with _connected(url) as socket:
        socket.send(json.dumps(QUESTION))
        arrivals: list[float] = []
        while len(arrivals) < slices or not arrivals:
            kind = _next(socket)
            if kind in _ENDS:
                return None
            if kind == _DELTA or (slices == 0 and kind == "response.in_progress"):
                arrivals.append(time.perf_counter())
        asked = last = time.perf_counter()
        socket.send(json.dumps({"type": "response.cancel"}))
        while (kind := _next(socket)) not in _ENDS:
            if kind == _DELTA:
                last = time.perf_counter()
        if kind != "response.incomplete":
            return None
    gaps = tuple(1e3 * (b - a) for a, b in pairwise(arrivals))
    return Cancelled(1e3 * (last - asked), gaps)


def _next(socket: ClientConnection) -> str:
    kind: str = json.loads(socket.recv(timeout=TIMEOUT_SECONDS))["type"]
    return kind


def _connected(url: str) -> ClientConnection:
    return connect(url, compression=None, proxy=None, open_timeout=TIMEOUT_SECONDS)


def measure(rounds: int, *, neighbours: int = NEIGHBOURS) -> list[Cancelled]:
    """Cancel so many turns of a service of its own."""
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
        cancelled: list[Cancelled] = []
        with _connected(url) as others:
            lanes = [f"lane-{n}" for n in range(neighbours)]
            for lane in lanes:
                others.send(json.dumps(QUESTION | {"stream_id": lane}))
            while len(cancelled) < rounds:
                if (found := cancel_one(url, random.randint(*SLICES))) is not None:
                    cancelled.append(found)
                    if len(cancelled) % 20 == 0:
                        print(f"{len(cancelled)} of {rounds}", file=sys.stderr)
                _ask_again(others)
        return cancelled


def _ask_again(others: ClientConnection) -> None:
    """Read the events of the other lanes, and ask again on each whose turn has ended."""
    while True:
        try:
            event = json.loads(others.recv(timeout=0))
        except TimeoutError:
            return
        if event["type"] in _ENDS:
            others.send(json.dumps(QUESTION | {"stream_id": event["stream_id"]}))


def rows(cancelled: list[Cancelled]) -> list[Row]:
    """Compare the last slices with the bound that the measured step time gives."""
    step = percentile([gap for each in cancelled for gap in each.gaps_ms], 0.5)
    bound = STEPS * step + EXTRA_MS
    against = f"{STEPS} steps of {step:.1f} ms + {EXTRA_MS:.0f} ms"
    found = []
    for name, share, floor in (("p50", 0.5, None), ("p99", 0.99, 1.0)):
        ours = percentile([each.last_slice_ms for each in cancelled], share)
        found.append(
            Row(
                case=f"last_slice_{name}",
                ours=ours,
                theirs=bound,
                unit="ms",
                against=against,
                ratio=bound / max(ours, 0.001),
                floor=floor,
            )
        )
    return found


def main() -> None:
    as_json = wants_json((__doc__ or "").splitlines()[0])
    end_on_sigterm()
    report(rows(measure(ROUNDS)), as_json)


if __name__ == "__main__":
    main()
