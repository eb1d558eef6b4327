"""A thousand sockets are cut in the middle of their turns and resume at the same time.

The floor is as many bare accepts by the same server. While the sockets are away five slices are
appended to each turn; a round ends when every client has them. One more slice is appended while
clients connect, so that every socket gets past and live events; at the end each slice is counted.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil  # type: ignore[import-untyped]

from benchmarks.processes import Process, Server, end_on_sigterm, front_end, redis_server
from benchmarks.publishers import MODEL, Worker
from benchmarks.readers import Tally
from benchmarks.reconnecting import HANDSHAKES, Client
from benchmarks.report import Row, report, wants_json

SOCKETS = 1000
ROUNDS = 5
#: The project promises that a resume costs at most this many bare accepts.
MOST_ACCEPTS = 2.0
#: Slices that are appended while the sockets are away.
MISSED = 5
#: Frames of a turn before its first slice, and after its last.
OPENING_FRAMES, CLOSING_FRAMES = 5, 4
#: Frames of a turn while it is queued.
SUBMITTED_FRAMES = 2
#: Turns in one engine step.
STEP = 50
#: Longer than any run, because the publisher sends no heartbeats.
LEASE_SECONDS = 600.0
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Spent:
    """What it took to connect all clients, added up over the rounds."""

    seconds: float
    #: CPU time of the server.
    cpu_seconds: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The sums of all rounds."""

    accepts: Spent
    resumes: Spent
    sockets: int
    rounds: int
    tally: Tally
    #: Clients whose events are not numbered 0, 1, 2, …
    disordered: int


class Answers:
    """Appends slices to the turns of all clients."""

    def __init__(self, worker: Worker, sockets: int) -> None:
        self.slices = 0
        self.steps = [range(first, min(first + STEP, sockets)) for first in range(0, sockets, STEP)]
        self._worker = worker

    async def write(self, slices: int) -> None:
        """Append this many slices to every turn."""
        for _ in range(slices):
            number, self.slices = self.slices, self.slices + 1
            for sockets in self.steps:
                await asyncio.to_thread(self._worker.send, sockets, number)


@contextmanager
def service(directory: Path) -> Iterator[tuple[Server, str]]:
    """Run a front end without workers; yield it and the URL of its Redis."""
    with redis_server(directory) as url, front_end(directory, url, MODEL) as server:
        yield server, url


async def measure(server: Server, redis_url: str, *, sockets: int, rounds: int) -> Outcome:
    """Let every client ask, be cut, resume, and read to the end."""
    handshakes = asyncio.Semaphore(HANDSHAKES)
    clients = [Client(server.address, handshakes) for _ in range(sockets)]
    worker = Worker(redis_url, sockets, lease_seconds=LEASE_SECONDS)
    answers = Answers(worker, sockets)
    accepts = resumes = Spent(0, 0)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        for step in answers.steps:
            await asyncio.gather(*(clients[number].ask(SUBMITTED_FRAMES) for number in step))
        await asyncio.to_thread(worker.begin)
        await asyncio.gather(*(client.read(OPENING_FRAMES) for client in clients))
        for done in range(rounds):
            await _cut(clients, server)
            accepted = await _spend(server.process, answers, [each.accept() for each in clients])
            await _cut(clients, server)
            await answers.write(MISSED)
            missed = OPENING_FRAMES + answers.slices
            back = [each.resume(missed) for each in clients]
            resumed = await _spend(server.process, answers, back)
            accepts, resumes = accepts + accepted, resumes + resumed
            print(
                f"round {done + 1}: {accepted.seconds:.2f} s to accept,"
                f" {resumed.seconds:.2f} s to resume",
                file=sys.stderr,
            )
        await answers.write(MISSED)
        await asyncio.to_thread(worker.end)
        end = OPENING_FRAMES + answers.slices + CLOSING_FRAMES
        await asyncio.gather(*(client.read(end) for client in clients))
        await _cut(clients, server)
    tallies = [client.tally(answers.slices) for client in clients]
    return Outcome(
        accepts=accepts,
        resumes=resumes,
        sockets=sockets,
        rounds=rounds,
        tally=sum(tallies, Tally(delivered=0, lost=0, misplaced=0)),
        disordered=sum(not client.in_order for client in clients),
    )


async def _spend(
    process: Process, answers: Answers, connecting: Sequence[Awaitable[None]]
) -> Spent:
    """Let the clients connect while every turn gets another slice; return what it took."""
    cpu, begun = process.cpu_seconds(), time.perf_counter()
    writing = asyncio.create_task(answers.write(1))
    await asyncio.gather(*connecting)
    spent = Spent(time.perf_counter() - begun, process.cpu_seconds() - cpu)
    await writing
    return spent


async def _cut(clients: Sequence[Client], server: Server) -> None:
    """Cut every socket, and wait until the server has noticed."""
    for client in clients:
        client.cut()
    port = int(server.address.rpartition(":")[2])
    process = psutil.Process(server.process.pid)

    def has_any() -> bool:
        return any(
            each.laddr.port == port and each.raddr for each in process.net_connections("tcp")
        )

    while has_any():  # noqa: ASYNC110  the state is another process's
        await asyncio.sleep(POLL_SECONDS)


def rows(outcome: Outcome) -> list[Row]:
    """Compare clients that resume with clients that only connect."""
    return [
        _row("storm_seconds", outcome, outcome.resumes.seconds, outcome.accepts.seconds, True),
        _row("storm_server_cpu", outcome, outcome.resumes.cpu_seconds, outcome.accepts.cpu_seconds),
    ]


def _row(case: str, outcome: Outcome, ours: float, theirs: float, promised: bool = False) -> Row:
    return Row(
        case=case,
        ours=ours / outcome.rounds,
        theirs=theirs / outcome.rounds,
        unit="s",
        against=f"{outcome.sockets} bare accepts",
        ratio=theirs / ours,
        floor=1 / MOST_ACCEPTS if promised else None,
    )


def main() -> int:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    # Both ends of every socket are on this machine; the server inherits the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with TemporaryDirectory() as name, service(Path(name)) as (server, url):
        outcome = asyncio.run(measure(server, url, sockets=SOCKETS, rounds=ROUNDS))
    print(
        f"{outcome.rounds} times {outcome.sockets} sockets: {outcome.tally.delivered} slices"
        f" delivered, {outcome.tally.lost} lost, {outcome.tally.misplaced} out of order"
    )
    report(rows(outcome), as_json)
    return int(bool(outcome.tally.lost or outcome.tally.misplaced or outcome.disordered))


if __name__ == "__main__":
    sys.exit(main())
