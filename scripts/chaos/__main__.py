"""`python -m scripts.chaos`: run turns under faults, check every reader, and print a table."""

import argparse
import asyncio
import hashlib
import random
import sys
import tempfile
import time
from pathlib import Path

import redis.asyncio
from jsonschema import ValidationError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks.processes import end_on_sigterm
from harness.json_schemas import validate
from harness.proxy import Proxy
from harness.reader import ENDS, Event, call_events, calls_of, event_text, text_of
from harness.record import fetch
from harness.service import Service
from scripts.chaos.faults import WORKERS, Faults
from scripts.chaos.readers import Question, Readers, arguments_schema, questions, schema_of
from turnstream.turns import keys
from turnstream.turns.tasks import end

ENVIRON = {
    # In float32 a seed gives the same text however often its worker is killed.
    "TURNSTREAM_DTYPE": "float32",
    "TURNSTREAM_LEASE_SECONDS": "1",
    "TURNSTREAM_DRAIN_SECONDS": "0",
    # Workers are killed so often that the default of three would fail turns.
    "TURNSTREAM_MAX_ATTEMPTS": "50",
    # Every log is read again at the end of the run.
    "TURNSTREAM_LOG_SECONDS": "7200",
}
RECOVERY_SECONDS = 90.0


def main() -> int:
    """Run it; return the exit code."""
    options = argparse.ArgumentParser(prog="python -m scripts.chaos")
    options.add_argument("--turns", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1, help="seed of questions and faults")
    options.add_argument("--seconds", type=float, default=900, help="a longer run is a failure")
    given = options.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="turnstream-chaos-") as directory:
        print("chaos: starting the service …", file=sys.stderr, flush=True)
        with Service(Path(directory), "--workers", str(WORKERS), environ=ENVIRON) as service:
            violations = asyncio.run(run(service, given.turns, given.seed, given.seconds))
            if violations:
                log = Path(tempfile.gettempdir(), "turnstream-chaos.log")
                log.write_text(service.logs)
                print(f"the log of the service is {log}", file=sys.stderr)
    for violation in violations[:50]:
        print(f"VIOLATION {violation}")
    return 1 if violations else 0


async def run(service: Service, turns: int, seed: int, seconds: float) -> list[str]:
    """Ask without faults and then under faults; return the violations."""
    draw = random.Random(seed)
    asked = questions(draw)
    expected = await undisturbed(service, asked)
    url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    store = redis.asyncio.Redis.from_url(
        url, protocol=2, decode_responses=True, socket_timeout=1, retry=Retry(NoBackoff(), 1)
    )
    async with store, Proxy(int(service.url.rpartition(":")[2])) as proxy:
        made = int(await store.get(keys.arrivals()) or 0)
        readers = Readers(service.url, proxy, asked, turns, draw)
        faults = Faults(service, proxy, store, random.Random(seed + 1))
        injecting = asyncio.create_task(faults.run())
        progress = asyncio.create_task(report(readers, turns))
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await readers.run()
        except TimeoutError:
            readers.violations.append(f"not finished after {seconds:.0f} s")
        finally:
            await end((injecting, progress))
        took = time.monotonic() - started
        if not injecting.cancelled():
            injecting.result()
        await until_ready(service)
        await check(service, store, readers, expected)
        constrained = check_json(readers, asked)
        calling = check_calls(readers, asked)
        records = [await store.hgetall(keys.turn(id)) for id in ids(readers)]
        generations = int(await store.get(keys.arrivals()) or 0) - made
        if generations != turns:
            readers.violations.append(f"{turns} idempotency keys gave {generations} turns")
    attempts = sum(int(record["attempt"]) - 1 for record in records)
    requeued = sum(int(record.get("requeues", 0)) for record in records)
    rows: list[tuple[str, object]] = [
        ("turns", turns),
        ("readers", len(readers.read)),
        ("events read", sum(len(read.reader.events) for read in readers.read)),
        ("of the readers, of whole JSON", constrained),
        ("of the readers, of whole calls", calling),
        ("seconds", round(took)),
        *faults.counts.items(),
        *sorted(readers.totals.items()),
        ("takeovers after a lease expired", attempts - requeued),
        ("turns requeued", requeued),
        ("worst pause, seconds", round(max(r.reader.worst_pause for r in readers.read), 1)),
        ("texts that differ, gaps, repeats, second ends", len(readers.violations)),
    ]
    print(f"\n| chaos, seed {seed} | |\n|---|---:|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    return readers.violations


async def undisturbed(service: Service, asked: list[Question]) -> list[str]:
    """Ask every question once without faults; return the hashes of the texts."""
    answers = (asyncio.to_thread(fetch, service, "/v1/responses", each) for each in asked)
    return [said_in(answer) for answer in await asyncio.gather(*answers)]


async def report(readers: Readers, turns: int) -> None:
    """Print the progress now and then."""
    while True:
        await asyncio.sleep(10)
        print(
            f"{len(ids(readers))} of {turns} turns, {len(readers.violations)} violations",
            file=sys.stderr,
            flush=True,
        )


async def until_ready(service: Service) -> None:
    """Wait until the service has recovered.

    Raises:
        TimeoutError: it has not.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    # A short call at a time in a thread: a thread can't be interrupted by SIGTERM.
    while not await asyncio.to_thread(service.answers):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the service did not recover:\n{service.logs[-5000:]}")
        await asyncio.sleep(0.2)


async def check(
    service: Service, store: "redis.asyncio.Redis", readers: Readers, expected: list[str]
) -> None:
    """Compare every reader with the record, the log and the text without faults."""
    logs = {
        id: await asyncio.to_thread(fetch, service, f"/v1/responses/{id}?stream=true")
        for id in ids(readers)
    }
    stored = {
        id: said_in(await asyncio.to_thread(fetch, service, f"/v1/responses/{id}"))
        for id in ids(readers)
    }
    for read in readers.read:
        id, events = read.reader.id, read.reader.events
        said = sha(event_text(events), call_events(events))
        problems = {
            "its text differs from the record": said != stored[id],
            "its text differs from the one without faults": said != expected[read.question],
            "its events differ from the log": events != logs[id],
            "its sequence numbers have a gap": [event["sequence_number"] for event in events]
            != list(range(len(events))),
            "it has not exactly one terminal event": sum(event["type"] in ENDS for event in events)
            != 1,
            "its log has a different length": await store.xlen(keys.log(id)) != len(events),
        }
        readers.violations += [f"{id}: {problem}" for problem, found in problems.items() if found]


def check_json(readers: Readers, asked: list[Question]) -> int:
    """Check that each whole answer with a schema follows it; return how many there are."""
    count = 0
    for read in readers.read:
        schema = schema_of(asked[read.question])
        if schema is None or read.reader.final["type"] != "response.completed":
            continue
        count += 1
        try:
            validate(read.reader.text, schema)
        except (ValueError, ValidationError) as exc:
            readers.violations.append(f"{read.reader.id}: its JSON is wrong: {exc}")
    return count


def check_calls(readers: Readers, asked: list[Question]) -> int:
    """Check that whole calls validate and keep their ids; return how many readers had some."""
    count = 0
    for read in readers.read:
        schema = arguments_schema(asked[read.question])
        if schema is None or read.reader.final["type"] != "response.completed":
            continue
        count += 1
        calls = read.reader.final["response"]["output"]
        added = [e["item"] for e in read.reader.events if e["type"] == "response.output_item.added"]
        if not calls or [_named(item) for item in added] != [_named(item) for item in calls]:
            readers.violations.append(f"{read.reader.id}: its calls have other ids at its end")
        for _, arguments in call_events(read.reader.events):
            try:
                validate(arguments, schema)
            except (ValueError, ValidationError) as exc:
                readers.violations.append(f"{read.reader.id}: its arguments are wrong: {exc}")
    return count


def _named(item: Event) -> tuple[str, ...]:
    return tuple(item.get(key, "") for key in ("type", "id", "call_id", "name"))


def ids(readers: Readers) -> list[str]:
    """Return every response once, in the order in which they ended."""
    return list(dict.fromkeys(read.reader.id for read in readers.read))


def said_in(response: Event) -> str:
    """Return the hash of what a whole response says."""
    return sha(text_of(response), calls_of(response))


def sha(text: str, calls: list[tuple[str, str]]) -> str:
    return hashlib.sha256(repr((text, calls)).encode()).hexdigest()


sys.exit(main())
