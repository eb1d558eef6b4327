"""How much one Redis carries: its CPU time for a whole turn, and for each slice of one.

CPU time and not a rate is measured, since that does not depend on what else a machine does; Redis
runs commands on one thread, so a second of it is all there is. The floor is an XADD of the same
event, alone: what any durable log costs. Plain PUBLISHes are `benchmarks.append`'s.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import redis

from benchmarks.append import submit_turns, subscribed
from benchmarks.processes import end_on_sigterm, redis_server
from benchmarks.publishers import Worker, slice_event
from benchmarks.report import Row, report, wants_json
from turnstream.turns.ids import new_response_id

#: Turns that run at the same time, and so in a step; and slices of each.
TURNS, SLICES = 32, 200
ROUNDS = 4
#: How much of a Redis may be used, so that bursts find room.
USED = 0.6


class Costs(NamedTuple):
    """Seconds of Redis's CPU."""

    #: Submitting, claiming, opening and ending a turn.
    turn: float
    #: One slice, appended with those of the other turns of a step.
    slice: float
    #: One XADD of the same event by itself, in a pipeline.
    xadd: float


def measure(redis_url: str, *, turns: int, slices: int, rounds: int) -> Costs:
    """Run turns with slices through the calls that nodes and workers make."""
    whole = sliced = plain = 0.0
    client = redis.Redis.from_url(redis_url, protocol=2)
    with client, subscribed(redis_url, turns):
        for _ in range(rounds):
            begun = cpu_seconds(client)
            asyncio.run(submit_turns(redis_url, turns))
            worker = Worker(redis_url, turns)
            worker.begin()
            opened = cpu_seconds(client)
            for number in range(slices):
                worker.send(range(turns), number)
            sent = cpu_seconds(client)
            worker.end()
            ended = cpu_seconds(client)
            add(client, turns * slices)
            added = cpu_seconds(client)
            whole += opened - begun + ended - sent
            sliced += sent - opened
            plain += added - ended
    count = turns * rounds
    return Costs(whole / count, sliced / count / slices, plain / count / slices)


def add(client: "redis.Redis", events: int) -> None:
    """Append that many events to plain streams, a step's in one pipeline."""
    ids = [new_response_id() for _ in range(TURNS)]
    for number in range(events // TURNS):
        with client.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.xadd(f"plain:{id}", {"event": slice_event(id, number, number)})
            pipe.execute()
    client.delete(*(f"plain:{id}" for id in ids))


def cpu_seconds(client: "redis.Redis") -> float:
    """Return the CPU time that Redis has used so far."""
    cpu: Any = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def rows(costs: Costs) -> list[Row]:
    """Compare a slice, and a turn without its slices, with an XADD."""
    return [
        Row(
            case=f"one_redis_{name}",
            ours=1e6 * ours,
            theirs=1e6 * costs.xadd,
            unit=f"µs/{name}",
            against="an XADD of the same event",
            ratio=costs.xadd / ours,
        )
        for name, ours in (("slice", costs.slice), ("turn", costs.turn))
    ]


def main() -> None:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name, redis_server(Path(name)) as url:
        costs = measure(url, turns=TURNS, slices=SLICES, rounds=ROUNDS)
    print(
        f"at {USED:.0%} of one Redis: {USED / costs.slice:,.0f} slices a second, or"
        f" {USED / costs.turn:,.0f} turns a second without slices;"
        f" {USED / (costs.turn + 250 * costs.slice):,.0f} turns a second of 250 slices"
    )
    report(rows(costs), as_json)


if __name__ == "__main__":
    sys.exit(main())
