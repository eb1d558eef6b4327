"""A thousand sockets are cut in the middle of their answers and come back at once.

Against as many bare accepts by the same server. While the sockets are gone five slices are written
for each; the clock stops when everybody has them. While a crowd comes in each turn gets one more,
so that history and what is live meet on every socket, and at the end each slice is counted.
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
from benchmarks.report import Row, report, wants_json
from benchmarks.returners import AT_ONCE, Returner
from benchmarks.slices import Tally

SOCKETS = 1000
ROUNDS = 5
#: How many bare accepts a resume may cost.
MOST_ACCEPTS = 2.0
#: Slices that everybody misses while away.
MISSED = 5
#: Frames of a turn before its first slice, and after its last.
OPENING_FRAMES, CLOSING_FRAMES = 5, 4
#: Frames of a turn when it is in line.
SUBMITTED_FRAMES = 2
#: Turns in one engine step.
STEP = 50
#: Longer than any run, as nobody beats here.
LEASE_SECONDS = 600.0
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Spent:
    """What a crowd took to come in, added up over the rounds."""

    seconds: float
    #: Of the server.
    cpu_seconds: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all rounds came to."""

    accepts: Spent
    resumes: Spent
    sockets: int
    rounds: int
    tally: Tally
    #: Sockets whose events were not numbered 0, 1, 2 …
    disordered: int


class Answers:
    """The turns of all sockets, answered slice by slice."""

    def __init__(self, worker: Worker, sockets: int) -> None:
        self.slices = 0
        self.steps = [range(first, min(first + STEP, sockets)) for first in range(0, sockets, STEP)]
        self._worker = worker

    async def write(self, slices: int) -> None:
        """Write so many slices for every turn."""
        for _ in range(slices):
            number, self.slices = self.slices, self.slices + 1
            for sockets in self.steps:
                await asyncio.to_thread(self._worker.send, sockets, number)


@contextmanager
def service(directory: Path) -> Iterator[tuple[Server, str]]:
    """Run a front end without workers; gives it, and the URL of its Redis."""
    with redis_server(directory) as url, front_end(directory, url, MODEL) as server:
        yield server, url


async def measure(server: Server, redis_url: str, *, sockets: int, rounds: int) -> Outcome:
    """Have everybody ask, be cut, come back, and read to the end."""
    entrance = asyncio.Semaphore(AT_ONCE)
    crowd = [Returner(server.address, entrance) for _ in range(sockets)]
    worker = Worker(redis_url, sockets, lease_seconds=LEASE_SECONDS)
    answers = Answers(worker, sockets)
    accepts = resumes = Spent(0, 0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for step in answers.steps:
            await asyncio.gather(*(crowd[number].ask(SUBMITTED_FRAMES) for number in step))
        await asyncio.to_thread(worker.begin)
        await asyncio.gather(*(returner.read(OPENING_FRAMES) for returner in crowd))
        for done in range(rounds):
            await _cut(crowd, server)
            accepted = await _spend(server.process, answers, [each.accept() for each in crowd])
            await _cut(crowd, server)
            await answers.write(MISSED)
            missed = OPENING_FRAMES + answers.slices
            back = [each.resume(missed) for each in crowd]
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
        await asyncio.gather(*(returner.read(end) for returner in crowd))
        await _cut(crowd, server)
    tallies = [returner.tally(answers.slices) for returner in crowd]
    return Outcome(
        accepts=accepts,
        resumes=resumes,
        sockets=sockets,
        rounds=rounds,
        tally=sum(tallies, Tally(delivered=0, lost=0, misplaced=0)),
        disordered=sum(not returner.in_order for returner in crowd),
    )


async def _spend(process: Process, answers: Answers, coming: Sequence[Awaitable[None]]) -> Spent:
    """Let a crowd come in while every turn gets another slice, and see what it took."""
    cpu, begun = process.cpu_seconds(), time.perf_counter()
    writing = asyncio.create_task(answers.write(1))
    await asyncio.gather(*coming)
    spent = Spent(time.perf_counter() - begun, process.cpu_seconds() - cpu)
    await writing
    return spent


async def _cut(crowd: Sequence[Returner], server: Server) -> None:
    """Drop every socket, and wait until the server has seen it."""
    for returner in crowd:
        returner.cut()
    port = int(server.address.rpartition(":")[2])
    process = psutil.Process(server.process.pid)

    def has_any() -> bool:
        return any(
            each.laddr.port == port and each.raddr for each in process.net_connections("tcp")
        )

    while has_any():  # noqa: ASYNC110  another process can't call us
        await asyncio.sleep(LOOK_SECONDS)


def rows(outcome: Outcome) -> list[Row]:
    """Hold a crowd that resumes against one that only comes in."""
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
    # Two ends of every socket are on this machine; the server inherits the limit.
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
