"""What a slice costs the front end on its way from Redis to a socket, in its own CPU time.

200 turns at 40 slices a second each, written by the calls that a real worker makes. The peer is the
same server with a Redis subscription for each socket and a message for each slice. Every slice is
counted where it arrives.
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
from benchmarks.readers import CHANNELS, DELIVERED, READY, TURNS
from benchmarks.report import Row, report, wants_json
from benchmarks.slices import Tally

ROUNDS = 3
#: How many times cheaper than the peer a slice must be here.
LEAST_TIMES_CHEAPER = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one run."""

    sockets: int = 200
    #: Slices a second to each socket, as fast as people read and more.
    rate: int = 40
    seconds: float = 3.0

    @property
    def slices(self) -> int:
        """Slices to each socket."""
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How slices are carried."""

    #: `turns` through the front end, or `channels` through the peer.
    kind: str
    #: Slices that leave the publisher together.
    batch: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.batch} at a time"


#: The steps of a big engine, and of a small one.
OURS = (Way(kind=TURNS, batch=200), Way(kind=TURNS, batch=16))
#: Slices as they come when nobody gathers them, a few in each millisecond, and all of a step in one
#: pipeline, which is the cheapest that the peer can be.
PEERS = (Way(kind=CHANNELS, batch=8), Way(kind=CHANNELS, batch=200))
#: The promise is for these two.
PROMISED = (OURS[0], PEERS[0])


@dataclass(frozen=True, slots=True)
class Carrier:
    """A running server, and who publishes to it."""

    server: Server
    publisher: Publisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What slices took."""

    cpu_seconds: float
    #: From the first slice sent to the last one read.
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
        """Seconds of CPU for each slice that arrived."""
        return self.cpu_seconds / self.tally.delivered


@contextmanager
def carriers(directory: Path, sockets: int) -> Iterator[Mapping[str, Carrier]]:
    """Run both servers on one Redis; gives them by kind."""
    peer_command = python("benchmarks.peer")
    with (
        redis_server(directory) as url,
        front_end(directory, url, MODEL) as ours,
        server("peer", *peer_command, directory=directory, redis_url=url) as peer,
    ):
        yield {
            TURNS: Carrier(ours, Worker(url, sockets)),
            CHANNELS: Carrier(peer, Channels(url, sockets)),
        }


def measure(
    ways: Sequence[Way],
    carriers: Mapping[str, Carrier],
    load: Load,
    directory: Path,
    *,
    rounds: int,
) -> dict[Way, Spent]:
    """Put the load on each way in turns, that many times, and add up what it took."""
    spent: dict[Way, Spent] = {}
    for number in range(rounds):
        for way in ways:
            new = run(way, carriers[way.kind], load, directory)
            spent[way] = spent[way] + new if way in spent else new
            print(
                f"round {number + 1} of {rounds}: {way}: {1e6 * new.cpu_per_slice:.1f} µs",
                file=sys.stderr,
            )
    return spent


def run(way: Way, carrier: Carrier, load: Load, directory: Path) -> Spent:
    """Open the sockets, send every slice, and wait until the last one is read."""
    publisher, process = carrier.publisher, carrier.server.process
    command = python(
        "benchmarks.readers",
        *(way.kind, carrier.server.address, str(load.sockets), str(load.slices)),
    )
    with running("readers", *command, directory=directory, listen=True) as readers:
        publisher.begin()
        said = readers.next_line()
        if said != READY:
            raise ProcessFailed(f"no slice was sent, yet the readers say {said}")
        cpu, begun = process.cpu_seconds(), time.perf_counter()
        send(publisher, way.batch, load)
        said = readers.next_line()
        cpu, seconds = process.cpu_seconds() - cpu, time.perf_counter() - begun
        publisher.end()
        # If a slice is lost, the readers give up at some time and then say what they have.
        outcome = readers.next_line() if said == DELIVERED else said
    return Spent(cpu_seconds=cpu, seconds=seconds, tally=Tally(**json.loads(outcome)))


def send(publisher: Publisher, batch: int, load: Load) -> None:
    """Send all slices, `batch` sockets at a time, spread evenly over the seconds."""
    groups = [
        range(first, min(first + batch, load.sockets)) for first in range(0, load.sockets, batch)
    ]
    begun = time.perf_counter()
    for number in range(load.slices):
        for place, sockets in enumerate(groups):
            due = begun + (number + place / len(groups)) / load.rate
            time.sleep(max(0.0, due - time.perf_counter()))
            publisher.send(sockets, number)


def rows(spent: Mapping[Way, Spent]) -> list[Row]:
    """Hold each way of ours against each of the peer's."""
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
    with TemporaryDirectory() as name, carriers(Path(name), load.sockets) as both:
        spent = measure((*OURS, *PEERS), both, load, Path(name), rounds=ROUNDS)
    for way, taken in spent.items():
        print(
            f"{way}: {taken.tally.delivered} slices at {taken.tally.delivered / taken.seconds:.0f}"
            f" a second, {taken.tally.lost} lost, {taken.tally.misplaced} out of order"
        )
    report(rows(spent), as_json)
    return int(any(taken.tally.lost or taken.tally.misplaced for taken in spent.values()))


if __name__ == "__main__":
    sys.exit(main())
