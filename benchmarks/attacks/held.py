"""Rows 2 and 3: what a node holds of requests that wait, and of events that nobody reads.

The readers ask for an answer of half a megabyte that is stored already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.target import Connection, Target
from harness.turn import new_turn
from turnstream.turns.client import open_client
from turnstream.turns.connection import connect
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings

MODEL = "tiny"
#: Without keys, everybody is this owner.
OWNER = "local"
READERS = 200
#: Those of which it is seen when they are cut.
CUT_READERS = 20
#: Events of the answer that nobody reads, and characters of each.
EVENTS, EVENT = 2_000, 250
#: How long a node is waited for until it has sent all that its clients take.
SETTLE_SECONDS = 3.0
#: What a reader itself reads ahead, at least.
_LEAST_BYTES = 4096
#: How long it is waited for that a reader is cut.
_PATIENCE_SECONDS = 60.0


def _store_answer(url: str) -> str:
    """Store the long answer; return its id."""
    settings = TurnSettings(redis_url=url)
    turn = new_turn(model=MODEL, owner=OWNER)

    async def submit() -> None:
        async with open_client(settings, "bench") as turn_client, turn_client.submit(turn):
            pass

    asyncio.run(submit())
    with connect(url) as client:
        claimed = TurnQueue(client, settings, model=MODEL, worker="w").claim(1)
        assert claimed is not None
        text = "x" * EVENT
        events = (
            f'{{"type":"response.output_text.delta","sequence_number":{n},"delta":"{text}"}}'
            for n in range(claimed.seq + 1, EVENTS)
        )
        entries = [Entry(event) for event in events]
        final = Final(status="completed", error="null", response='"id":"x"}', text=text)
        end = Append(
            id=turn.id,
            attempt=1,
            first=claimed.seq + 1,
            entries=(*entries, Entry('{"type":"response.completed"}')),
            final=final,
        )
        Log(client, settings, worker="w").append([end])
    return turn.id


async def _reader(target: Target, turn: str, lanes: int) -> Connection:
    connection = await target.upgraded(limit=_LEAST_BYTES)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    resume = {"type": "turnstream:response.resume", "response_id": turn}
    await connection.send_json(*(resume | {"stream_id": f"l{lane}"} for lane in range(lanes)))
    return connection


async def _sse_reader(target: Target, turn: str) -> Connection:
    connection = await target.connect(_LEAST_BYTES)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    line = f"GET /v1/responses/{turn}?stream=true HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await connection.send(line.encode())
    return connection


def _held(lanes: int) -> Callable[[Target], Awaitable[float]]:
    """Return the attack of readers that ask for an answer on so many lanes; kB for each."""

    async def run(target: Target) -> float:
        turn = await asyncio.to_thread(_store_answer, target.redis_url)
        for _ in range(20):
            (await target.upgraded()).drop()
        before = target.resident()
        connections = [await _reader(target, turn, lanes) for _ in range(READERS)]
        await asyncio.sleep(SETTLE_SECONDS)
        grown = target.resident() - before
        for connection in connections:
            connection.drop()
        return grown / READERS / 1024

    return run


async def _cut_after(target: Target) -> float:
    """Return the seconds after which the last of some readers is cut, on sockets and of SSE."""
    turn = await asyncio.to_thread(_store_answer, target.redis_url)
    connections = [await _reader(target, turn, 1) for _ in range(CUT_READERS)]
    connections += [await _sse_reader(target, turn) for _ in range(CUT_READERS)]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while target.connections() and loop.time() - begun < _PATIENCE_SECONDS:  # noqa: ASYNC110
        await asyncio.sleep(0.25)
    for connection in connections:
        connection.drop()
    return loop.time() - begun


def _waiting(text: str) -> Callable[[Target], Awaitable[float]]:
    """Return the attack of 60 requests of a megabyte that all wait; MB of the node."""

    async def run(target: Target) -> float:
        with connect(target.redis_url) as client:
            about = {"context": 64, "temperature": 1.0, "top_p": 1.0, "created": 0}
            queue = TurnQueue(
                client, TurnSettings(redis_url=target.redis_url), model=MODEL, worker="w"
            )
            queue.heartbeat([], about, slots=1)
        connection = await target.upgraded()
        create = {"type": "response.create", "model": MODEL, "input": text}

        async def send() -> None:
            with suppress(ConnectionError):
                for number in range(60):
                    await connection.send_json(create | {"stream_id": f"l{number % 4}"})
            await asyncio.sleep(SETTLE_SECONDS)

        try:
            return await target.growth(send())
        finally:
            connection.drop()

    return run


ATTACKS = (
    *(
        Attack(
            row="2",
            name=f"60 requests of 1 MB that wait on one socket, {name}",
            unit="MB",
            run=_waiting(text),
            most=40,
            alone=True,
        )
        for name, text in (
            ("ASCII", "x" * 1_000_000),
            ("one emoji in each", "\N{GRINNING FACE}" + "x" * 1_000_000),
        )
    ),
    Attack(
        row="3",
        name="a reader that reads nothing, 1 lane",
        unit="kB",
        run=_held(1),
        most=128,
        alone=True,
    ),
    Attack(
        row="3",
        name="a reader that reads nothing, 16 resumes",
        unit="kB",
        run=_held(16),
        most=256,
        alone=True,
    ),
    Attack(
        row="3",
        name="readers that read nothing, sockets and SSE",
        unit="s until all are cut",
        run=_cut_after,
        most=35,
        alone=True,
    ),
)
