"""Row 8: whether an owner's burst delays another's turns, from the submit to the first word."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.attacks.asks import UPLOAD
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


async def _first_words(target: Target, burst: "asyncio.Task[str]") -> list[float]:
    """Ask one turn after the other until the burst is over; return how long each waited."""
    connection = await upgraded(target.port, _OTHER)
    waits = []
    while not burst.done():
        begun = time.perf_counter()
        await connection.send_json({"type": "response.create", "input": "Hi"})
        while _DELTA not in (message := await connection.message()):
            assert b'"type":"error"' not in message, message
        waits.append(time.perf_counter() - begun)
        while _ENDED not in await connection.message():
            pass
        await asyncio.sleep(_PAUSE_SECONDS)
    connection.drop()
    return waits


@contextmanager
def _flood(target: Target, paths: Sequence[str]) -> Iterator[Process]:
    """Run a burst of turns or, with paths, of requests."""
    arguments: tuple[object, ...] = (target.port, SOCKETS, TURNS, _FLOODER)
    if paths:
        arguments = (target.port, CONNECTIONS, REQUESTS, _FLOODER, *paths)
    name = "benchmarks.attacks.asks" if paths else "benchmarks.attacks.flood"
    command = python(name, *map(str, arguments))
    with running("flood", *command, directory=target.directory, listen=True, talk=True) as process:
        assert process.next_line() == "open"
        yield process


def _wait_of_another(share: float, *paths: str) -> Callable[[Target], Awaitable[float]]:
    """Return the attack whose figure is at least as long as this share of the waits."""

    async def run(target: Target) -> float:
        environ = {"TURNSTREAM_REDIS_URL": target.redis_url}
        worker = python("benchmarks.stub_worker")
        with (
            running("worker", *worker, directory=target.directory, environ=environ),
            _flood(target, paths) as flood,
        ):
            assert flood.popen.stdin is not None
            flood.popen.stdin.write("go\n")
            flood.popen.stdin.flush()
            burst = asyncio.create_task(asyncio.to_thread(flood.next_line))
            waits = sorted(await _first_words(target, burst))
            asked = CONNECTIONS * REQUESTS if paths else SOCKETS * TURNS
            assert sum(map(int, (await burst).split())) == asked
        return waits[min(len(waits) - 1, int(share * len(waits)))]

    return run


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
        run=_wait_of_another(0.99),
        most=2,
        alone=True,
        environ=_ENVIRON,
    ),
    Attack(
        row="8",
        name=f"{_NAME}, without a limit of turns",
        unit="s",
        run=_wait_of_another(0.99),
        most=2,
        alone=True,
        environ=_ENVIRON | {"TURNSTREAM_LIMITS": "in_flight=0"},
    ),
    *(
        Attack(
            row="8",
            name=f"one owner's burst of {what}: another's first word, p99",
            unit="s",
            run=_wait_of_another(0.99, *paths),
            most=2,
            alone=True,
            environ=_ENVIRON,
        )
        for what, paths in (
            (f"{CONNECTIONS * REQUESTS:,} GETs of lists and a missing response", _STORED),
            (f"{CONNECTIONS * REQUESTS:,} uploads", (UPLOAD,)),
        )
    ),
)
