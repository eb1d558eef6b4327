"""CPU time of the front end for a slice on its way from Redis to a socket.

200 turns get 40 slices a second each, appended with the calls that a real worker makes. The peer is
the same server with a Redis subscription for each socket and a message for each slice. Every slice
is counted at the readers.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import (
    ProcessFailed,
    Server,
    end_on_sigterm,
    front_end,
    python,
    redis_server,
    running,
    server,
)
from benchmarks.publishers import MODEL, Channels, Publisher, Worker
from benchmarks.readers import CHANNELS, DELIVERED, READY, TURNS, Tally
from benchmarks.report import Row, report, wants_json

ROUNDS = 3
#: The project promises that a slice costs the peer this many times our CPU time.
LEAST_TIMES_CHEAPER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one run."""

    sockets: int = 200
    #: Slices a second to each socket.
    rate: int = 40
    seconds: float = 3.0

    @property
    def slices(self) -> int:
        """Return the number of slices to each socket."""
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How slices are sent: by which server, and in steps of which size."""

    #: `turns` through the front end, or `channels` through the peer.
    kind: str
    #: Slices that are published together.
    batch: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.batch} at a time"


#: The steps of a big engine, and of a small one.
OURS = (Case(kind=TURNS, batch=200), Case(kind=TURNS, batch=16))
#: A few slices in each millisecond, as without steps, and all of a step in one pipeline, which is
#: the cheapest case for the peer.
PEERS = (Case(kind=CHANNELS, batch=8), Case(kind=CHANNELS, batch=200))
#: The project's promise compares these two.
PROMISED = (OURS[0], PEERS[0])


@dataclass(frozen=True, slots=True)
class Relay:
    """A running server, and the publisher of what it relays."""

    server: Server
    publisher: Publisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What some slices cost."""

    cpu_seconds: float
    #: From the first slice sent to the last slice read.
    seconds: float
    tally: Tally

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            seconds=self.seconds + other.seconds,
            tally=self.tally + other.tally,
        )

    @property
    def cpu_per_slice(self) -> float:
        """Return the seconds of CPU for each slice that arrived."""
        return self.cpu_seconds / self.tally.delivered


@contextmanager
def relays(directory: Path, sockets: int) -> Iterator[Mapping[str, Relay]]:
    """Run both servers on one Redis; yield them by kind."""
    peer_command = python("benchmarks.peer")
    with (
        redis_server(directory) as url,
        front_end(directory, url, MODEL) as ours,
        server("peer", *peer_command, directory=directory, redis_url=url) as peer,
    ):
        yield {
            TURNS: Relay(ours, Worker(url, sockets)),
            CHANNELS: Relay(peer, Channels(url, sockets)),
        }


def measure(
    cases: Sequence[Case],
    relays: Mapping[str, Relay],
    load: Load,
    directory: Path,
    *,
    rounds: int,
) -> dict[Case, Spent]:
    """Run the load on each case alternately, that many rounds, and add up what it cost."""
    spent: dict[Case, Spent] = {}
    for number in range(rounds):
        for case in cases:
            new = run(case, relays[case.kind], load, directory)
            spent[case] = spent[case] + new if case in spent else new
            print(
                f"round {number + 1} of {rounds}: {case}: {1e6 * new.cpu_per_slice:.1f} µs",
                file=sys.stderr,
            )
    return spent


def run(case: Case, relay: Relay, load: Load, directory: Path) -> Spent:
    """Open the sockets, send every slice, and wait until the last slice is read."""
    publisher, process = relay.publisher, relay.server.process
    command = python(
        "benchmarks.readers",
        *(case.kind, relay.server.address, str(load.sockets), str(load.slices)),
    )
    with running("readers", *command, directory=directory, listen=True) as readers:
        publisher.begin()
        line = readers.next_line()
        if line != READY:
            raise ProcessFailed(f"the readers are not ready: {line}")
        cpu, begun = process.cpu_seconds(), time.perf_counter()
        send(publisher, case.batch, load)
        line = readers.next_line()
        cpu, seconds = process.cpu_seconds() - cpu, time.perf_counter() - begun
        publisher.end()
        # If a slice is lost, the readers time out and print the tally of what arrived.
        outcome = readers.next_line() if line == DELIVERED else line
    return Spent(cpu_seconds=cpu, seconds=seconds, tally=Tally(**json.loads(outcome)))


def send(publisher: Publisher, batch: int, load: Load) -> None:
    """Send all slices, `batch` sockets at a time, spread evenly over the seconds."""
    groups = [
        range(first, min(first + batch, load.sockets)) for first in range(0, load.sockets, batch)
    ]
    begun = time.perf_counter()
    for number in range(load.slices):
        for index, sockets in enumerate(groups):
            due = begun + (number + index / len(groups)) / load.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            publisher.send(sockets, number)


def rows(spent: Mapping[Case, Spent]) -> list[Row]:
    """Compare each case of ours with each of the peer's."""
    return [
        Row(
            case=f"relay_cpu_{ours.batch}_against_{peer.batch}",
            ours=1e6 * spent[ours].cpu_per_slice,
            theirs=1e6 * spent[peer].cpu_per_slice,
            unit="µs/slice",
            against=f"a redis-py subscriber per socket, {peer.batch} published at a time",
            ratio=spent[peer].cpu_per_slice / spent[ours].cpu_per_slice,
            floor=LEAST_TIMES_CHEAPER if (ours, peer) == PROMISED else None,
        )
        for peer in PEERS
        for ours in OURS
    ]


def main() -> int:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    load = Load()
    with TemporaryDirectory() as name, relays(Path(name), load.sockets) as both:
        spent = measure((*OURS, *PEERS), both, load, Path(name), rounds=ROUNDS)
    for case, taken in spent.items():
        print(
            f"{case}: {taken.tally.delivered} slices at {taken.tally.delivered / taken.seconds:.0f}"
            f" a second, {taken.tally.lost} lost, {taken.tally.misplaced} out of order"
        )
    report(rows(spent), as_json)
    return int(any(taken.tally.lost or taken.tally.misplaced for taken in spent.values()))


if __name__ == "__main__":
    sys.exit(main())
