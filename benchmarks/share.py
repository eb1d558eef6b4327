"""What a batch that has every slot costs interactive turns, and what those cost the batch.

One worker with the demo model. The batch keeps twice as many turns outstanding as there are slots;
interactive turns of the tier `default` arrive at random times. Three phases alternate for several
rounds: interactive turns alone, the batch alone, and both. An interactive turn is timed from submit
to its first slice; the worker's output is counted in tokens, from the logs.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from benchmarks.processes import end_on_sigterm, python, redis_server, running
from benchmarks.report import Row, percentile, report, wants_json
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Tier, Turn

MODEL = "demo"
SLOTS = 8
ROUNDS = 5
SECONDS = 20.0
#: Interactive turns per second, and the most tokens of each and of a turn of the batch.
ARRIVALS, INTERACTIVE_TOKENS, BATCH_TOKENS = 2.0, 16, 200
#: What the project promises: a ratio of the waits, and a share of the tokens.
MOST_TIMES, LEAST_SHARE = 1.3, 0.9


@dataclass(slots=True)
class Phase:
    """What was measured in phases of one kind."""

    first_slices: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0


def make_turn(tier: Tier, max_tokens: int) -> Turn:
    """Return a turn with a random seed, so that its answer has any length up to this."""
    return Turn(
        id=new_response_id(),
        owner=tier,
        model=MODEL,
        tier=tier,
        messages=(Message("user", "Write a long story."),),
        request=Request(
            instructions=None,
            sampling=SamplingParams(
                max_tokens=max_tokens, temperature=2.0, top_p=1.0, seed=random.getrandbits(40)
            ),
        ),
        parent=None,
        parent_cached=False,
        store=False,
        metadata={},
        created_at=int(time.time()),
    )


class Load:
    """Interactive turns and a batch at one node."""

    def __init__(self, turn_client: TurnClient) -> None:
        self._turn_client = turn_client
        self.turns: list[Turn] = []

    async def interactive_turn(self, phase: Phase) -> None:
        """Submit a turn, record the time to its first slice, and read to its end."""
        turn, begun = make_turn("default", INTERACTIVE_TOKENS), time.perf_counter()
        self.turns.append(turn)
        waits = True
        async with self._turn_client.submit(turn) as follower:
            async for batch in follower.batches():
                if waits and any(b"output_text.delta" in event[:40] for event in batch):
                    phase.first_slices.append(time.perf_counter() - begun)
                    waits = False

    async def interactive(self, phase: Phase, until: float) -> None:
        """Submit turns at random times until then; return when the last one has ended."""
        draw = random.Random(7)
        async with asyncio.TaskGroup() as tasks:
            while (now := time.perf_counter()) < until:
                tasks.create_task(self.interactive_turn(phase))
                await asyncio.sleep(min(draw.expovariate(ARRIVALS), max(0.0, until - now)))

    async def batch(self) -> None:
        """Keep the batch's turns outstanding until cancelled."""

        async def one_after_the_other() -> None:
            while True:
                turn = make_turn("batch", BATCH_TOKENS)
                self.turns.append(turn)
                async with self._turn_client.submit(turn) as follower:
                    async for _ in follower.batches():
                        pass

        async with asyncio.TaskGroup() as tasks:
            for _ in range(2 * SLOTS):
                tasks.create_task(one_after_the_other())


async def phase_of(
    client: "redis.Redis",
    turn_client: TurnClient,
    *,
    interactive: bool,
    batch: bool,
    seconds: float,
) -> Phase:
    """Run one phase; at its end no turn of it is queued or in a slot."""
    phase, load = Phase(), Load(turn_client)
    running_batch = asyncio.create_task(load.batch()) if batch else None
    if batch:
        await _until(lambda: client.zcard(keys.preemptible(MODEL)) == SLOTS)
    before = _tokens(client, load.turns)
    begun = time.perf_counter()
    if interactive:
        await load.interactive(phase, begun + seconds)
    else:
        await asyncio.sleep(seconds)
    phase.tokens = _tokens(client, load.turns) - before
    phase.seconds = time.perf_counter() - begun
    if running_batch is not None:
        running_batch.cancel()
        with suppress(asyncio.CancelledError):
            await running_batch
        for turn in load.turns:
            with suppress(Exception):  # most have ended
                await turn_client.cancel(turn.id, turn.owner)
        await _until(lambda: client.zcard(keys.leases()) == 0)
    return phase


async def _until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not ready():  # noqa: ASYNC110  the state is another process's
            await asyncio.sleep(0.02)


def _tokens(client: "redis.Redis", turns: list[Turn]) -> int:
    with client.pipeline(transaction=False) as pipe:
        for turn in turns:
            pipe.xrange(keys.log(turn.id))
        logs = pipe.execute()
    return sum(
        fields[b"token_ids"].count(b",") + 1
        for log in logs
        for _, fields in log
        if b"token_ids" in fields
    )


async def _measure(client: "redis.Redis", url: str, rounds: int, seconds: float) -> list[Row]:
    alone, shared, batch = Phase(), Phase(), Phase()
    async with open_client(TurnSettings(redis_url=url), "node-1") as turn_client:
        await _until(lambda: client.zcard(keys.heartbeats(MODEL)) > 0)
        # The first phase only warms up.
        await phase_of(client, turn_client, interactive=True, batch=True, seconds=min(3.0, seconds))
        for number in range(rounds):
            for total, interactive, with_batch in (
                (alone, True, False),
                (shared, True, True),
                (batch, False, True),
            ):
                once = await phase_of(
                    client, turn_client, interactive=interactive, batch=with_batch, seconds=seconds
                )
                total.first_slices += once.first_slices
                total.tokens += once.tokens
                total.seconds += once.seconds
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return rows(alone, shared, batch)


def rows(alone: Phase, shared: Phase, batch: Phase) -> list[Row]:
    """Compare the shared phases with those of each load alone."""
    found = []
    for name, share, floor in (("p50", 0.5, None), ("p95", 0.95, round(1 / MOST_TIMES, 3))):
        ours, theirs = (1e3 * percentile(p.first_slices, share) for p in (shared, alone))
        found.append(
            Row(
                case=f"first_slice_{name}",
                ours=ours,
                theirs=theirs,
                unit="ms",
                against="the same without the batch",
                ratio=theirs / ours,
                floor=floor,
            )
        )
    ours, theirs = shared.tokens / shared.seconds, batch.tokens / batch.seconds
    found.append(
        Row(
            case="tokens",
            ours=ours,
            theirs=theirs,
            unit="tokens/s",
            against="the batch alone",
            ratio=ours / theirs,
            floor=LEAST_SHARE,
        )
    )
    return found


def measure(*, rounds: int, seconds: float) -> list[Row]:
    """Run Redis, a worker and the phases."""
    with (
        TemporaryDirectory() as name,
        redis_server(Path(name)) as url,
        redis.Redis.from_url(url, protocol=2) as client,
        running(
            "worker",
            *python("turnstream", "worker"),
            directory=Path(name),
            environ={
                "TURNSTREAM_REDIS_URL": url,
                "TURNSTREAM_MODEL": MODEL,
                "TURNSTREAM_DEVICE": "cpu",
                "TURNSTREAM_SLOTS": str(SLOTS),
            },
        ) as worker,
    ):
        worker.wait_until(lambda: bool(client.zcard(keys.heartbeats(MODEL))))
        return asyncio.run(_measure(client, url, rounds, seconds))


def main() -> None:
    as_json = wants_json((__doc__ or "").splitlines()[0])
    end_on_sigterm()
    report(measure(rounds=ROUNDS, seconds=SECONDS), as_json)


if __name__ == "__main__":
    main()
