"""Rows 2 and 7: what owners make Redis hold, and the time that a deep conversation takes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import Target
from harness.turn import new_turn
from scripts.retention_cost import Size, measure
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect
from turnstream.turns.errors import TurnError
from turnstream.turns.limits import Limits, OwnerLimits
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Turn

MODEL = "tiny"
OWNER = "local"
#: Turns of the deep conversation.
DEPTH = 2_000
#: Turns whose memory is measured.
TURNS = 200
#: Tokens of their answers, each a slice.
TOKENS = 32


async def _warm_ups(turn_client: TurnClient, count: int, text: str) -> tuple[Turn | None, int]:
    """Chain warm-ups until one is refused; return the last and how many there were."""
    last: Turn | None = None
    for number in range(count):
        turn = new_turn(
            text,
            model=MODEL,
            owner=OWNER,
            generate=False,
            previous_response_id=last.id if last else None,
        )
        try:
            async with turn_client.submit(turn):
                last = turn
        except TurnError:
            return last, number
    return last, count


async def _large_warm_ups(target: Target) -> float:
    """Return the MB of Redis after 515 chained warm-ups of 262 kB."""
    with connect(target.redis_url) as client:
        client.flushall()
        before = _used(client)
        async with open_client(TurnSettings(redis_url=target.redis_url), "bench") as turn_client:
            await _warm_ups(turn_client, 515, "x" * 262_000)
        return (_used(client) - before) / 1024 / 1024


async def _deep_chain(target: Target) -> float:
    """Return the ms of Redis for submit and claim of a turn after many others."""
    url = target.redis_url
    settings = replace(
        TurnSettings(redis_url=url), limits=OwnerLimits(Limits(warm_ups_per_minute=0))
    )
    with connect(url) as client:
        client.flushall()
        async with open_client(settings, "bench") as turn_client:
            last, count = await _warm_ups(turn_client, DEPTH, "x" * 100)
            assert count == DEPTH
            assert last is not None
            turn = new_turn(model=MODEL, owner=OWNER, previous_response_id=last.id)
            client.config_resetstat()
            async with turn_client.submit(turn):
                pass
        queue = TurnQueue(client, settings, model=MODEL, worker="w", most_bytes=20_000)
        assert queue.claim(1) is not None
        scripts: Any = client.info("commandstats")
        return float(scripts["cmdstat_evalsha"]["usec"]) / 1000


def _turn_memory(stage: str) -> Callable[[Target], Awaitable[float]]:
    """Return a measurement of the kB of Redis for a turn at a stage."""

    async def run(target: Target) -> float:
        with connect(target.redis_url) as client:
            client.flushall()
        size = Size(turns=TURNS, tokens=TOKENS)
        costs = await asyncio.to_thread(measure, target.redis_url, size)
        return costs[stage].total / TURNS / 1000

    return run


def _used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


ATTACKS = (
    Attack(
        row="2",
        name="515 chained warm-ups of 262 kB, in Redis",
        unit="MB",
        run=_large_warm_ups,
        most=40,
        alone=True,
    ),
    Attack(
        row="2",
        name="submit and claim after 2,000 turns, in Redis",
        unit="ms",
        run=_deep_chain,
        most=5,
        alone=True,
    ),
    *(
        Attack(
            row="7",
            name=f"memory of a turn in Redis: {stage}",
            unit="kB",
            run=_turn_memory(stage),
            most=most,
            alone=True,
        )
        for stage, most in (("waiting", 2.5), ("ended, log kept", 16), ("ended, log gone", 5))
    ),
)
