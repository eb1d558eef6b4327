"""How long a reader waits when the worker of its turn is killed, against the lease.

Two real workers with the demo model. The worker of the turn gets SIGKILL in the middle of the
answer; the result is the time until the reader has the first event of the other worker. The lease
is the lower bound: until it expires, another worker must not take the turn.
"""

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import redis
from websockets.sync.client import ClientConnection, connect

from benchmarks.processes import (
    Process,
    ProcessFailed,
    end_on_sigterm,
    front_end,
    python,
    redis_server,
    running,
)
from benchmarks.report import Row, percentile, report, wants_json
from turnstream.turns import keys
from turnstream.turns.settings import TurnSettings

MODEL = "demo"
ROUNDS = 5
LEASE_SECONDS = TurnSettings().lease_seconds
#: The project promises a takeover within this many leases.
MOST_LEASES = 2.0
#: Slices that are read before the kill: at least, at most.
SLICES = (2, 20)
#: Timeout of connecting and of each event.
TIMEOUT_SECONDS = 60.0
#: At this temperature the answer is long.
QUESTION = {
    "type": "response.create",
    "input": "Write a long story.",
    "temperature": 2,
    "max_output_tokens": 1500,
}
_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
_DELTA = "response.output_text.delta"


class TooShort(Exception):
    """The answer had ended before its worker could be killed."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """The result of one kill."""

    #: From the kill to the first event of the other worker, at the reader.
    seconds: float
    #: Events that were lost, repeated or out of order.
    faults: int


class Workers:
    """The workers of a model, by index."""

    def __init__(self, redis_url: str, directory: Path, lease_seconds: float) -> None:
        self._redis_url = redis_url
        self._directory = directory
        self._lease_seconds = lease_seconds
        self._running: dict[str, tuple[Process, ExitStack]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in list(self._running):
            self._end(name)

    def start(self, index: int) -> None:
        """Start or restart the worker of this index."""
        name = f"w{index}"
        if name in self._running:
            self._end(name)
        environ = {
            "TURNSTREAM_REDIS_URL": self._redis_url,
            "TURNSTREAM_MODEL": MODEL,
            "TURNSTREAM_DEVICE": "cpu",
            "TURNSTREAM_WORKER_INDEX": str(index),
            "TURNSTREAM_LEASE_SECONDS": str(self._lease_seconds),
            "TURNSTREAM_DRAIN_SECONDS": "0",
        }
        with ExitStack() as stack:
            command = python("turnstream", "worker")
            started = running(name, *command, directory=self._directory, environ=environ)
            process = stack.enter_context(started)
            self._running[name] = process, stack.pop_all()

    def wait_until_alive(self, client: "redis.Redis") -> None:
        """Wait until every worker has sent a heartbeat within the last second."""
        for name, (process, _) in self._running.items():
            since = 1000 * time.time() - 1000

            def is_alive(name: str = name, since: float = since) -> bool:
                heartbeat = client.zscore(keys.heartbeats(MODEL), name)
                return isinstance(heartbeat, float) and heartbeat > since

            process.wait_until(is_alive)

    def kill(self, name: str) -> int:
        """Kill a worker, wait until it has ended, and return its index."""
        popen = self._running[name][0].popen
        popen.kill()
        popen.wait()
        return int(name.removeprefix("w"))

    def _end(self, name: str) -> None:
        _, stack = self._running.pop(name)
        stack.close()


@dataclass(frozen=True, slots=True)
class RunningService:
    """A running service."""

    client: "redis.Redis"
    workers: Workers
    #: Where the front end listens.
    address: str


@contextmanager
def service(directory: Path, *, lease_seconds: float) -> Iterator[RunningService]:
    """Run Redis, a front end and two workers."""
    with (
        redis_server(directory) as url,
        front_end(directory, url, MODEL) as front,
        redis.Redis.from_url(url, protocol=2) as client,
        Workers(url, directory, lease_seconds) as workers,
    ):
        workers.start(0)
        workers.start(1)
        yield RunningService(client, workers, front.address)


def measure(service: RunningService, *, rounds: int) -> list[Takeover]:
    """Kill a worker that many times."""
    takeovers: list[Takeover] = []
    while len(takeovers) < rounds:
        service.workers.wait_until_alive(service.client)
        try:
            takeovers.append(take_over(service, random.randint(*SLICES)))
        except TooShort:
            continue
        print(f"round {len(takeovers)}: {takeovers[-1].seconds:.2f} s", file=sys.stderr)
    return takeovers


def take_over(service: RunningService, slices: int) -> Takeover:
    """Ask for a response, and kill its worker after this many slices.

    Raises:
        TooShort: the answer ended before the kill.
    """
    url = f"ws://{service.address}/v1/responses"
    with connect(url, compression=None, proxy=None, open_timeout=TIMEOUT_SECONDS) as socket:
        socket.send(json.dumps(QUESTION))
        events = [_next(socket)]
        while sum(event["type"] == _DELTA for event in events) < slices:
            if events[-1]["type"] in _ENDS:
                raise TooShort
            events.append(_next(socket))
        key = keys.turn(events[0]["response"]["id"])  # type: ignore[index]
        worker, begun = _field(service.client, key, "worker"), time.perf_counter()
        index = service.workers.kill(worker)
        written = int(_field(service.client, key, "seq"))
        while events[-1]["type"] not in _ENDS and len(events) - 1 <= written:
            events.append(_next(socket))
        seconds = time.perf_counter() - begun
        service.workers.start(index)
        if len(events) - 1 <= written:
            raise TooShort
        while events[-1]["type"] not in _ENDS:
            events.append(_next(socket))
    if events[-1]["type"] in ("response.failed", "error"):
        raise ProcessFailed(json.dumps(events[-1]))
    faults = sum(event["sequence_number"] != number for number, event in enumerate(events))
    return Takeover(seconds, faults)


def _next(socket: ClientConnection) -> dict[str, object]:
    event: dict[str, object] = json.loads(socket.recv(timeout=TIMEOUT_SECONDS))
    return event


def _field(client: "redis.Redis", key: str, field: str) -> str:
    value = client.hget(key, field)
    assert isinstance(value, bytes)
    return value.decode()


def rows(takeovers: Sequence[Takeover], *, lease_seconds: float) -> list[Row]:
    """Compare the pauses with the lease."""
    seconds = [takeover.seconds for takeover in takeovers]
    return [
        _row("takeover_p50", percentile(seconds, 0.5), lease_seconds),
        _row("takeover_worst", max(seconds), lease_seconds, floor=1 / MOST_LEASES),
    ]


def _row(case: str, ours: float, lease_seconds: float, floor: float | None = None) -> Row:
    return Row(
        case=case,
        ours=ours,
        theirs=lease_seconds,
        unit="s",
        against="the lease",
        ratio=lease_seconds / ours,
        floor=floor,
    )


def main() -> int:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name, service(Path(name), lease_seconds=LEASE_SECONDS) as running:
        takeovers = measure(running, rounds=ROUNDS)
    faults = sum(takeover.faults for takeover in takeovers)
    print(f"{len(takeovers)} workers killed, {faults} events lost, repeated or out of order")
    report(rows(takeovers, lease_seconds=LEASE_SECONDS), as_json)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
