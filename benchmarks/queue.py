"""What a long queue costs: submitting a turn behind 100,000 others, and the memory of each.

A short and a long queue are in one Redis. Turns are submitted to them alternately by the client of
a node and cancelled again, so that the queues keep their lengths. Memory is what Redis grows by for
a waiting turn, without the text of its input, against a stream of one entry: what a turn would take
if it had a log from the start.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from benchmarks.processes import end_on_sigterm, redis_server
from benchmarks.report import Row, percentile, report, wants_json
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.limits import Limits
from turnstream.turns.lua import Script
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import submission
from turnstream.turns.turn import Message, Request, Turn, items_to_json
from turnstream.turns.wake_up import WakeUp

SHORT, LONG = 100, 100_000
OWNERS = 1_000
ROUNDS = 500
QUESTION = "What is it like to wait in a queue as long as this one? " * 4
#: Turns in one pipeline while a queue is filled.
PIPELINE = 500
STREAMS = 10_000
#: What the project promises: a ratio of the times, and of the memory.
MOST_TIMES, MOST_MEMORY = 1.5, 0.4


def turns(model: str) -> Iterator[Turn]:
    """Yield turns of many owners without end."""
    number = 0
    while True:
        number += 1
        yield Turn(
            id=new_response_id(),
            owner=f"owner-{number % OWNERS}",
            model=model,
            tier="default",
            input=(Message("user", QUESTION),),
            request=Request(
                instructions=None, sampling=SamplingParams(temperature=0.6, top_p=0.9, seed=number)
            ),
            previous_response_id=None,
            previous_cached=False,
            store=True,
            metadata={},
            created_at=1_800_000_000,
        )


def fill(client: "redis.Redis", settings: TurnSettings, model: str, size: int) -> float:
    """Submit so many turns; return the bytes of memory that each one takes."""
    submit, wake_up, source = Script(client, "submit"), WakeUp(), turns(model)
    before = _used(client)
    for begun in range(0, size, PIPELINE):
        with client.pipeline(transaction=False) as pipe:
            for _ in range(min(PIPELINE, size - begun)):
                submit(**submission(next(source), settings, Limits(), wake_up, node="n"), pipe=pipe)
            pipe.execute()
    return (_used(client) - before) / size


def stream_bytes(client: "redis.Redis") -> float:
    """Return the bytes of memory that a stream of one small entry takes."""
    before = _used(client)
    for number in range(STREAMS):
        client.xadd(f"stream:resp_{number:032x}", {"e": "x"}, id="1-0")
    return (_used(client) - before) / STREAMS


async def submit_alternately(settings: TurnSettings, rounds: int) -> dict[str, list[float]]:
    """Submit turns to both queues; return the seconds of each, by queue."""
    taken: dict[str, list[float]] = {"short": [], "long": []}
    async with open_client(settings, "node-1") as turn_client:
        source = {model: turns(model) for model in taken}
        for _ in range(rounds):
            for model, seconds in taken.items():
                turn = next(source[model])
                seconds.append(await _submit(turn_client, turn))
    return taken


async def _submit(turn_client: TurnClient, turn: Turn) -> float:
    # Most owners have no other turn in the queue.
    turn = replace(turn, owner=f"new-{turn.id}")
    start = time.perf_counter()
    async with turn_client.submit(turn):
        seconds = time.perf_counter() - start
    await turn_client.cancel(turn.id, turn.owner)
    return seconds


def _used(client: "redis.Redis") -> int:
    found: Any = client.info("memory")
    return int(found["used_memory"])


def measure(*, long: int, rounds: int) -> list[Row]:
    """Measure on a private Redis."""
    with (
        TemporaryDirectory() as directory,
        redis_server(Path(directory)) as url,
        redis.Redis.from_url(url, protocol=2) as client,
    ):
        settings = TurnSettings(redis_url=url, max_queued=2 * long)
        fill(client, settings, "short", SHORT)
        waiting = fill(client, settings, "long", long)
        taken = asyncio.run(submit_alternately(settings, rounds))
        stream = stream_bytes(client)
    text = len(items_to_json((Message("user", QUESTION),)))
    rows = []
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        ours, theirs = (1e3 * percentile(taken[model], share) for model in ("long", "short"))
        rows.append(
            Row(
                case=f"enqueue_{name}",
                ours=ours,
                theirs=theirs,
                unit="ms",
                against=f"the same behind {SHORT} turns instead of {long}",
                ratio=theirs / ours,
                floor=round(1 / MOST_TIMES, 3),
            )
        )
    rows.append(
        Row(
            case="waiting_turn",
            ours=waiting - text,
            theirs=stream,
            unit="bytes",
            against="a stream of one entry",
            ratio=stream / (waiting - text),
            floor=1 / MOST_MEMORY,
        )
    )
    return rows


def main() -> None:
    as_json = wants_json((__doc__ or "").splitlines()[0])
    end_on_sigterm()
    report(measure(long=LONG, rounds=ROUNDS), as_json)


if __name__ == "__main__":
    main()
