"""Row 8: whether an owner's burst delays another's turns, from the submit to the first word."""

import asyncio
import hashlib
import secrets
import statistics
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.attacks.asks import BODY, SCHEMA, UPLOAD
from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import Target, upgraded
from benchmarks.processes import Process, python, running
from benchmarks.stub_worker import MODEL

SOCKETS, TURNS = 2_000, 10
#: Connections that ask for what is stored or upload, and requests of each.
CONNECTIONS, REQUESTS = 500, 10
#: Pause of the other owner after each turn.
_PAUSE_SECONDS = 0.05
_DELTA = b'"type":"response.output_text.delta"'
_ENDED = b'"type":"response.completed"'
_STORED = (
    f"/v1/responses/resp_{'0' * 32}",
    "/v1/files",
    "/v1/batches",
)
_FLOODER, _OTHER = "flooder", "other"


@dataclass(frozen=True, slots=True)
class Turn:
    """When a turn of the other owner was asked for, and when its first word came."""

    begun: float
    first_word: float


async def _turns(
    target: Target, burst: "asyncio.Task[str]", fields: Callable[[], dict[str, object]]
) -> list[Turn]:
    """Ask one turn after the other until the burst is over."""
    connection = await upgraded(target.port, _OTHER)
    turns = []
    while not burst.done():
        begun = time.monotonic()
        await connection.send_json({"type": "response.create", "input": "Hi"} | fields())
        while _DELTA not in (message := await connection.message()):
            assert b'"type":"error"' not in message, message
        turns.append(Turn(begun, time.monotonic()))
        while _ENDED not in await connection.message():
            pass
        await asyncio.sleep(_PAUSE_SECONDS)
    connection.drop()
    return turns


@contextmanager
def _flood(target: Target, name: str, *arguments: object) -> Iterator[Process]:
    """Run a burst in a process of its own, beside a worker."""
    worker = python("benchmarks.stub_worker")
    environ = {"TURNSTREAM_REDIS_URL": target.redis_url}
    command = python(f"benchmarks.attacks.{name}", *map(str, arguments))
    where = target.directory
    with (
        running("worker", *worker, directory=where, environ=environ),
        running("flood", *command, directory=where, listen=True, talk=True) as flood,
    ):
        assert flood.next_line() == "open"
        assert flood.popen.stdin is not None
        flood.popen.stdin.write("go\n")
        flood.popen.stdin.flush()
        yield flood


async def _wait_beside_turns(target: Target) -> float:
    """Return how long another's first word takes beside a burst of turns, at p99."""
    with _flood(target, "flood", target.port, SOCKETS, TURNS, _FLOODER) as flood:
        burst = asyncio.create_task(asyncio.to_thread(flood.next_line))
        turns = await _turns(target, burst, dict)
        assert sum(map(int, (await burst).split())) == SOCKETS * TURNS
    waits = sorted(turn.first_word - turn.begun for turn in turns)
    return waits[int(0.99 * len(waits))]


def _answered_beside(
    connections: int,
    requests: int,
    *paths: str,
    fields: Callable[[], dict[str, object]] = dict,
) -> Callable[[Target], Awaitable[float]]:
    """Return the attack whose figure is how many requests of a burst go before another's word.

    In the middle of all turns. It does not depend on how fast a machine is, or on what else it
    does: without a rotation all that waits goes first.
    """

    async def run(target: Target) -> float:
        with _flood(target, "asks", target.port, connections, requests, _FLOODER, *paths) as flood:
            burst = asyncio.create_task(asyncio.to_thread(flood.next_line))
            turns = await _turns(target, burst, fields)
            assert sum(map(int, (await burst).split())) == connections * requests
            times = sorted(map(float, flood.next_line().split()))
        return statistics.median(
            bisect(times, turn.first_word) - bisect(times, turn.begun) for turn in turns
        )

    return run


def _own_schema() -> dict[str, object]:
    """Return what asks for an answer of a schema that no other turn has."""
    schema = {"type": "object", "properties": {secrets.token_hex(4): {"type": "string"}}}
    return {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}


def _keys() -> str:
    hashed = ((each, hashlib.sha256(each.encode()).hexdigest()) for each in (_FLOODER, _OTHER))
    return ",".join(f"{owner}:{key}" for owner, key in hashed)


_ENVIRON = {
    "TURNSTREAM_MODEL": MODEL,
    "TURNSTREAM_API_KEYS": _keys(),
    "TURNSTREAM_OWNER_SOCKETS": "10000",
    "TURNSTREAM_ADDRESS_CONNECTIONS": "10000",
}
_NAME = f"one owner's burst of {SOCKETS:,} sockets with {TURNS} turns: another's first word, p99"

ATTACKS = (
    Attack(
        row="8",
        name=_NAME,
        unit="s",
        run=_wait_beside_turns,
        most=2,
        alone=True,
        environ=_ENVIRON,
    ),
    Attack(
        row="8",
        name=f"{_NAME}, without a limit of turns",
        unit="s",
        run=_wait_beside_turns,
        most=2,
        alone=True,
        environ=_ENVIRON | {"TURNSTREAM_LIMITS": "in_flight=0"},
    ),
    *(
        Attack(
            row="8",
            name=f"one owner's burst of {what}: how many go before another's first word",
            unit="requests",
            run=run,
            most=most,
            alone=True,
            environ=_ENVIRON,
        )
        for what, most, run in (
            (
                f"{CONNECTIONS * REQUESTS:,} GETs of lists and a missing response",
                80,
                _answered_beside(CONNECTIONS, REQUESTS, *_STORED),
            ),
            (
                f"{CONNECTIONS * REQUESTS:,} uploads",
                28,
                _answered_beside(CONNECTIONS, REQUESTS, UPLOAD),
            ),
            ("60 bodies that take long to read", 2, _answered_beside(30, 2, BODY)),
            (
                "120 schemas, to one with a schema",
                2,
                _answered_beside(20, 6, SCHEMA, fields=_own_schema),
            ),
        )
    ),
)
