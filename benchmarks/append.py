"""Redis's CPU time for appending slices to logs, against a plain PUBLISH of the same events.

An engine step of 1, 8 or 32 turns is one append; the peer publishes the events of a step in one
pipeline, one PUBLISH each. One subscriber receives everything in both cases. An append also checks
the attempt and the sequence number, and Redis writes it to its append-only file.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import redis

from benchmarks.peer import channel
from benchmarks.processes import end_on_sigterm, redis_server
from benchmarks.publishers import MODEL, Channels, Publisher, Worker
from benchmarks.report import Row, report, wants_json
from turnstream.turns import keys
from turnstream.turns.client import open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Turn

NODE = "append"
#: Turns in an engine step.
STEPS = (1, 8, 32)
#: Slices of a round, whatever the number of turns in a step.
SLICES = 9_600
ROUNDS = 3
#: The most that a slice in an append may cost, in plain PUBLISHes.
MOST_PUBLISHES = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What Redis spent on some slices."""

    #: Of the whole process, including its socket and file I/O.
    cpu_seconds: float
    #: Calls of the publisher's command.
    calls: int
    slices: int

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            cpu_seconds=self.cpu_seconds + other.cpu_seconds,
            calls=self.calls + other.calls,
            slices=self.slices + other.slices,
        )


#: What appends and PUBLISHes cost, by the number of turns in a step.
Results = Mapping[int, tuple[Spent, Spent]]


def measure(redis_url: str, steps: Sequence[int], *, slices: int, rounds: int) -> Results:
    """Send slices in steps of each size, alternately as appends and as PUBLISHes."""
    results: dict[int, tuple[Spent, Spent]] = {}
    client = redis.Redis.from_url(redis_url, protocol=2)
    with client, subscribed(redis_url, max(steps)):
        for _ in range(rounds):
            for turns in steps:
                asyncio.run(submit_turns(redis_url, turns))
                worker, plain = Worker(redis_url, turns), Channels(redis_url, turns)
                worker.begin()
                ours = spend(client, "evalsha", worker, turns, slices)
                theirs = spend(client, "publish", plain, turns, slices)
                worker.end()
                known = results.get(turns)
                results[turns] = (known[0] + ours, known[1] + theirs) if known else (ours, theirs)
    return results


def spend(
    client: "redis.Redis", command: str, publisher: Publisher, turns: int, slices: int
) -> Spent:
    """Send slices in steps of so many turns; return what Redis spent on them."""
    before = _spent(client, command, 0)
    for number in range(slices // turns):
        publisher.send(range(turns), number)
    after = _spent(client, command, slices // turns * turns)
    return Spent(
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        calls=after.calls - before.calls,
        slices=after.slices,
    )


def _spent(client: "redis.Redis", command: str, slices: int) -> Spent:
    cpu: Any = client.info("cpu")
    stats: Any = client.info("commandstats")
    counted = stats.get(f"cmdstat_{command}", {"calls": 0})
    return Spent(
        cpu_seconds=cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        calls=counted["calls"],
        slices=slices,
    )


async def submit_turns(redis_url: str, turns: int) -> None:
    """Submit turns whose events are published to this node's channel."""
    async with open_client(TurnSettings(redis_url=redis_url), NODE) as turn_client:
        for _ in range(turns):
            async with turn_client.submit(_turn()):
                pass


def _turn() -> Turn:
    request = Request(
        instructions=None, sampling=SamplingParams(temperature=0.0, top_p=1.0, seed=1)
    )
    return Turn(
        id=new_response_id(),
        owner="benchmark",
        model=MODEL,
        tier="default",
        messages=(Message("user", "Go on."),),
        request=request,
        parent=None,
        parent_cached=False,
        store=True,
        metadata={},
        created_at=int(time.time()),
    )


@contextmanager
def subscribed(redis_url: str, sockets: int) -> Iterator[None]:
    """Subscribe to every channel that is published to, as nodes do."""
    client = redis.Redis.from_url(redis_url, protocol=2, socket_timeout=None)
    with client, client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
        pubsub.subscribe(keys.node_channel(NODE), *(channel(number) for number in range(sockets)))
        running = True

        def listen() -> None:
            while running:
                pubsub.get_message(timeout=0.1)

        thread = Thread(target=listen, name="subscriber")
        thread.start()
        try:
            yield
        finally:
            running = False
            thread.join()


def rows(results: Results) -> list[Row]:
    """Compare the CPU time of a slice in an append with that of a plain PUBLISH."""
    found = []
    for turns, (ours, theirs) in results.items():
        our_cost, their_cost = ours.cpu_seconds / ours.slices, theirs.cpu_seconds / theirs.slices
        found.append(
            Row(
                case=f"append_redis_cpu_{turns}",
                ours=1e6 * our_cost,
                theirs=1e6 * their_cost,
                unit="µs/slice",
                against=f"a plain PUBLISH of the same event, {turns} in a step",
                ratio=their_cost / our_cost,
                floor=1 / MOST_PUBLISHES,
            )
        )
    return found


def main() -> int:
    as_json = wants_json(__doc__ or "")
    end_on_sigterm()
    with TemporaryDirectory() as name, redis_server(Path(name)) as url:
        results = measure(url, STEPS, slices=SLICES, rounds=ROUNDS)
    for turns, (ours, _) in results.items():
        print(f"{turns} in a step: {ours.calls} calls for {ours.slices // turns} steps")
    report(rows(results), as_json)
    return int(any(ours.calls != ours.slices // turns for turns, (ours, _) in results.items()))


if __name__ == "__main__":
    sys.exit(main())
