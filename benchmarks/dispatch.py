"""How long a turn takes to reach a worker: from submit to `response.in_progress`, one at a time.

Each round makes one trip by each path, in random order and after a short pause: both ends
are idle when a trip begins, and a machine that slows down slows all paths. A turn is compared with
the shortest trip of the same kind: through Redis to another process and back, and for a turn on a
WebSocket the same made by a bare server.
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

from benchmarks.processes import (
    ROOT,
    answers_http,
    clean_environ,
    end_on_sigterm,
    front_end,
    python,
    redis_server,
    running,
    server,
)
from benchmarks.report import Row, percentile, report, wants_json
from benchmarks.trips import (
    Trip,
    through_bare_socket,
    through_client,
    through_redis,
    through_socket,
    within,
)

MODEL = "tiny"
#: Trips by each path, not counting those for warming up.
TURNS = 300
WARM_UP_TURNS = 20
#: The most that queue, wake-up and claim may cost: without the socket in trips of the floor, with
#: it in trips through a bare socket.
MOST_RAW_TRIPS = 3.5
MOST_BARE_TRIPS = 3.0
#: Timeout of a trip.
TRIP_SECONDS = 20.0
#: Pause before each trip; random, so that trips do not coincide with periodic work of the worker.
PAUSE_SECONDS = (0.004, 0.016)

_MAKE_MODEL = "import sys, pathlib, harness.tiny_llama as t; t.make(pathlib.Path(sys.argv[1]))"

#: Seconds of each trip, by path.
Times = Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class RunningService:
    """A running service."""

    redis_url: str
    #: Where the front end listens, and the bare server.
    address: str
    bare_address: str


@contextmanager
def service(directory: Path) -> Iterator[RunningService]:
    """Run Redis, a front end and a Celery worker with a tiny Llama."""
    model = directory / MODEL
    # A process of its own, because torch would stay loaded in this one.
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
            command = python("benchmarks.bare_trip")
            with server("bare", *command, directory=directory, redis_url=url) as bare:
                yield RunningService(url, front.address, bare.address)


async def measure(service: RunningService, directory: Path, *, turns: int, warm_up: int) -> Times:
    """Make that many trips by each path."""
    environ = {"TURNSTREAM_REDIS_URL": service.redis_url}
    floor = running("floor", *python("benchmarks.trips"), directory=directory, environ=environ)
    with floor:
        async with AsyncExitStack() as paths:
            trips: dict[str, Trip] = {
                "floor": await paths.enter_async_context(through_redis(service.redis_url)),
                "bare_socket": await paths.enter_async_context(
                    through_bare_socket(service.bare_address)
                ),
                "client": await paths.enter_async_context(through_client(service.redis_url, MODEL)),
                "socket": await paths.enter_async_context(through_socket(service.address)),
            }
            times: dict[str, list[float]] = {path: [] for path in trips}
            order = list(trips)
            for _ in range(warm_up + turns):
                random.shuffle(order)
                for path in order:
                    await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
                    times[path].append(await within(trips[path], TRIP_SECONDS))
    return {path: taken[warm_up:] for path, taken in times.items()}


def rows(times: Times) -> list[Row]:
    """Compare each path with the shortest of its kind, at the median and at the 99th percentile."""
    return [
        _row("dispatch_client_p50", times, "client", 0.5, floor=round(1 / MOST_RAW_TRIPS, 2)),
        _row("dispatch_client_p99", times, "client", 0.99),
        _row("dispatch_socket_p50", times, "socket", 0.5),
        _row("dispatch_socket_p99", times, "socket", 0.99),
        _row(
            "dispatch_socket_against_bare_p50",
            times,
            "socket",
            0.5,
            floor=round(1 / MOST_BARE_TRIPS, 2),
            against="bare_socket",
        ),
    ]


_SHORTEST = {
    "floor": "LPUSH, BRPOP, PUBLISH, subscriber",
    "bare_socket": "the same, behind a bare socket",
}


def _row(
    case: str,
    times: Times,
    path: str,
    share: float,
    floor: float | None = None,
    against: str = "floor",
) -> Row:
    ours, theirs = percentile(times[path], share), percentile(times[against], share)
    return Row(
        case=case,
        ours=1e3 * ours,
        theirs=1e3 * theirs,
        unit="ms",
        against=_SHORTEST[against],
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
