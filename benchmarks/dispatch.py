"""How long a turn takes to reach a worker: submit → `response.in_progress`, turn after turn.

Each round makes one trip by each road, in changing order and after a short rest: worker and floor
are both idle when something comes, and a machine that slows down slows all of them.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.percentile import percentile
from benchmarks.processes import (
    ROOT,
    answers_http,
    clean_environ,
    end_on_sigterm,
    front_end,
    python,
    redis_server,
    running,
)
from benchmarks.report import Row, report, wants_json
from benchmarks.trips import Trip, through_client, through_redis, through_socket, timed_out

MODEL = "tiny"
#: Turns by each road, after those for warming up.
TURNS = 300
WARM_UP_TURNS = 20
#: The most that the way through line, wake_up, claim and socket may cost, in raw trips.
MOST_RAW_TRIPS = 5.0
#: A trip that takes longer is an error.
TRIP_SECONDS = 20.0
#: Rest before each trip; drawn anew each time, so that no beat of the worker keeps step with it.
REST_SECONDS = (0.004, 0.016)

_MAKE_MODEL = "import sys, pathlib, tests.tiny_llama as t; t.make(pathlib.Path(sys.argv[1]))"

#: Seconds of each trip, by road.
Times = Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class RunningService:
    """A whole running service."""

    redis_url: str
    #: Where the front end listens.
    address: str


@contextmanager
def service(directory: Path) -> Iterator[RunningService]:
    """Run Redis, a front end and a Celery worker with a tiny Llama."""
    model = directory / MODEL
    # Not in this process: torch would stay in it.
    command = (sys.executable, "-c", _MAKE_MODEL, str(model))
    subprocess.run(command, check=True, cwd=ROOT, env=clean_environ(), capture_output=True)
    with redis_server(directory) as url, front_end(directory, url, MODEL) as front:
        environ = {
            "TURNSTREAM_REDIS_URL": url,
            "TURNSTREAM_MODEL": str(model),
            "TURNSTREAM_DEVICE": "cpu",
            "TURNSTREAM_PROMPT": "llama-2-chat",
        }
        worker = running(
            "worker", *python("turnstream", "worker"), directory=directory, environ=environ
        )
        with worker as process:
            process.wait_until(lambda: answers_http(f"http://{front.address}/readyz"))
            yield RunningService(url, front.address)


async def measure(service: RunningService, directory: Path, *, turns: int, warm_up: int) -> Times:
    """Make that many trips by each road."""
    environ = {"TURNSTREAM_REDIS_URL": service.redis_url}
    raw = running("floor", *python("benchmarks.floor"), directory=directory, environ=environ)
    with raw:
        async with AsyncExitStack() as roads:
            trips: dict[str, Trip] = {
                "floor": await roads.enter_async_context(through_redis(service.redis_url)),
                "front": await roads.enter_async_context(through_client(service.redis_url, MODEL)),
                "socket": await roads.enter_async_context(through_socket(service.address)),
            }
            times: dict[str, list[float]] = {road: [] for road in trips}
            order = list(trips)
            for _ in range(warm_up + turns):
                random.shuffle(order)
                for road in order:
                    await asyncio.sleep(random.uniform(*REST_SECONDS))
                    times[road].append(await timed_out(trips[road], TRIP_SECONDS))
    return {road: taken[warm_up:] for road, taken in times.items()}


def rows(times: Times) -> list[Row]:
    """Compare the roads, at the median and in the worst trip of a hundred."""
    return [
        _row("dispatch_socket_p50", times, "socket", 0.5, floor=1 / MOST_RAW_TRIPS),
        _row("dispatch_socket_p99", times, "socket", 0.99),
        _row("dispatch_front_p50", times, "front", 0.5),
        _row("dispatch_front_p99", times, "front", 0.99),
    ]


def _row(case: str, times: Times, road: str, share: float, floor: float | None = None) -> Row:
    ours, theirs = percentile(times[road], share), percentile(times["floor"], share)
    return Row(
        case=case,
        ours=1e3 * ours,
        theirs=1e3 * theirs,
        unit="ms",
        against="LPUSH, BRPOP, PUBLISH, subscriber",
        ratio=theirs / ours,
        floor=floor,
    )


def main() -> None:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name, service(Path(name)) as local_service:
        times = asyncio.run(measure(local_service, Path(name), turns=TURNS, warm_up=WARM_UP_TURNS))
    report(rows(times), as_json)


if __name__ == "__main__":
    main()
