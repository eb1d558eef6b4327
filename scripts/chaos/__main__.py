"""`python -m scripts.chaos`: the run, the check of every reader's text, and the table."""

import argparse
import asyncio
import contextlib
import hashlib
import random
import sys
import tempfile
import time
from pathlib import Path

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from harness.proxy import Proxy
from harness.reader import ENDS, said, text_of
from harness.record import fetch
from harness.service import Service
from scripts.chaos.crowd import Crowd, Question, questions
from scripts.chaos.faults import WORKERS, Faults
from turnstream.turns import keys

ENVIRON = {
    # Exact to the last bit, so that a seed has one answer however often its worker dies.
    "TURNSTREAM_DTYPE": "float32",
    "TURNSTREAM_LEASE_SECONDS": "1",
    "TURNSTREAM_DRAIN_SECONDS": "0",
    # Workers die here at a rate that no turn would survive with the default of three.
    "TURNSTREAM_MAX_ATTEMPTS": "50",
    # Every log is read again at the end.
    "TURNSTREAM_LOG_SECONDS": "7200",
}
BACK_SECONDS = 90.0


def main() -> int:
    """Run it; gives the exit code."""
    options = argparse.ArgumentParser(prog="python -m scripts.chaos")
    options.add_argument("--turns", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1, help="of questions and faults")
    options.add_argument("--seconds", type=float, default=900, help="longer counts as a failure")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="turnstream-chaos-") as directory:
        print("chaos: starting the service …", file=sys.stderr, flush=True)
        with Service(Path(directory), "--workers", str(WORKERS), environ=ENVIRON) as service:
            violations = asyncio.run(run(service, given.turns, given.seed, given.seconds))
            if violations:
                told = Path(tempfile.gettempdir(), "turnstream-chaos.log")
                told.write_text(service.logs)
                print(f"what the service said is in {told}", file=sys.stderr)
    for violation in violations[:50]:
        print(f"VIOLATION {violation}")
    return 1 if violations else 0


async def run(service: Service, turns: int, seed: int, seconds: float) -> list[str]:
    """Ask in peace, ask in chaos, compare; gives what was violated."""
    draw = random.Random(seed)
    asked = questions(draw)
    expected = await in_peace(service, asked)
    url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    store = redis.asyncio.Redis.from_url(
        url, protocol=2, decode_responses=True, socket_timeout=1, retry=Retry(NoBackoff(), 1)
    )
    async with store, Proxy(int(service.url.rpartition(":")[2])) as proxy:
        made = int(await store.get(keys.arrivals()) or 0)
        crowd = Crowd(service.url, proxy, asked, turns, draw)
        faults = Faults(service, proxy, store, random.Random(seed + 1))
        breaking = asyncio.create_task(faults.run())
        progress = asyncio.create_task(report(crowd, turns))
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await crowd.run()
        except TimeoutError:
            crowd.violations.append(f"not done after {seconds:.0f} s")
        took = time.monotonic() - started
        for task in (breaking, progress):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(wait_until_it_answers, service)
        await check(service, store, crowd, expected)
        records = [await store.hgetall(keys.turn(id)) for id in ids(crowd)]
        generations = int(await store.get(keys.arrivals()) or 0) - made
        if generations != turns:
            crowd.violations.append(f"{turns} keys made {generations} generations")
    attempts = sum(int(record["attempt"]) - 1 for record in records)
    handed = sum(int(record.get("handed", 0)) for record in records)
    rows: list[tuple[str, object]] = [
        ("turns", turns),
        ("readers of them", len(crowd.read)),
        ("events read", sum(len(read.reader.events) for read in crowd.read)),
        ("seconds", round(took)),
        *faults.counts.items(),
        *sorted(crowd.totals.items()),
        ("takeovers after a lease ran out", attempts - handed),
        ("turns handed over in good order", handed),
        ("worst pause, seconds", round(max(r.reader.worst_pause for r in crowd.read), 1)),
        ("texts that differ, gaps, repeats, second ends", len(crowd.violations)),
    ]
    print(f"\n| chaos, seed {seed} | |\n|---|---:|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    return crowd.violations


async def in_peace(service: Service, asked: list[Question]) -> list[str]:
    """Have every question answered once while nothing breaks; gives hashes of the texts."""
    answers = (asyncio.to_thread(fetch, service, "/v1/responses", each) for each in asked)
    return [sha(text_of(answer)) for answer in await asyncio.gather(*answers)]


async def report(crowd: Crowd, turns: int) -> None:
    """Say now and then how far it is."""
    while True:
        await asyncio.sleep(10)
        print(
            f"{len(ids(crowd))} of {turns} turns, {len(crowd.violations)} violations",
            file=sys.stderr,
            flush=True,
        )


def wait_until_it_answers(service: Service) -> None:
    """Wait until the service has recovered."""
    deadline = time.monotonic() + BACK_SECONDS
    while not service.answers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the service never came back:\n{service.logs[-5000:]}")
        time.sleep(0.2)


async def check(
    service: Service, store: "redis.asyncio.Redis", crowd: Crowd, expected: list[str]
) -> None:
    """Hold every reader to the record, to the log and to the answer given in peace."""
    logs = {
        id: await asyncio.to_thread(fetch, service, f"/v1/responses/{id}?stream=true")
        for id in ids(crowd)
    }
    kept = {
        id: sha(text_of(await asyncio.to_thread(fetch, service, f"/v1/responses/{id}")))
        for id in ids(crowd)
    }
    for read in crowd.read:
        id, events = read.reader.id, read.reader.events
        problems = {
            "its text is not the record's": sha(said(events)) != kept[id],
            "its text is not the answer given in peace": sha(said(events))
            != expected[read.question],
            "its events are not the log's": events != logs[id],
            "its numbers have a hole": [event["sequence_number"] for event in events]
            != list(range(len(events))),
            "its end is not one": sum(event["type"] in ENDS for event in events) != 1,
            "its log has another length": await store.xlen(keys.log(id)) != len(events),
        }
        crowd.violations += [f"{id}: {problem}" for problem, found in problems.items() if found]


def ids(crowd: Crowd) -> list[str]:
    """Give every response once, in the order in which they ended."""
    return list(dict.fromkeys(read.reader.id for read in crowd.read))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


sys.exit(main())
