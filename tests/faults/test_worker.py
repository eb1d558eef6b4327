"""A worker's death is not the reader's business."""

import asyncio
import json
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from tests.service import Service
from turns import keys

ANSWER_SECONDS = 60
#: So hot that the answer is long and made of anything, half characters too; the seed keeps it.
QUESTION = {
    "type": "response.create",
    "input": "Write a long story.",
    "temperature": 2,
    "seed": 7,
    "max_output_tokens": 300,
}

#: How the types of all terminal events of these tests end.
END = ("completed", "incomplete", "failed", "error")

Event = dict[str, Any]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers, exact to the last bit, and a short lease."""
    environ = {
        "TURNSTREAM_DTYPE": "float32",
        "TURNSTREAM_LEASE_SECONDS": "1",
        # Running turns are handed on at once, not finished first.
        "TURNSTREAM_DRAIN_SECONDS": "0",
    }
    directory = tmp_path_factory.mktemp("house")
    with Service(directory, "--workers", "2", environ=environ) as service:
        yield service


async def ask(socket: ClientConnection) -> None:
    await socket.send(json.dumps(QUESTION))


async def read(socket: ClientConnection, *, until: str | tuple[str, ...]) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(ANSWER_SECONDS):
        while not events or not events[-1]["type"].endswith(until):
            events.append(json.loads(await socket.recv()))
    return events


def said(events: list[Event]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


async def undisturbed(url: str) -> str:
    async with connect(url) as socket:
        await ask(socket)
        return said(await read(socket, until=END))


def workers_of(house: Service) -> dict[str, psutil.Process]:
    """Find the worker processes by their names in the records."""
    found = {}
    for process in house.family():
        if process.cmdline()[-1:] == ["worker"] and "guard" not in str(process.cmdline()):
            found[f"w{process.environ()['TURNSTREAM_WORKER_INDEX']}"] = process
    return found


@pytest.fixture
def redis(house: Service) -> Iterator["Redis[str]"]:
    """The house's own Redis, which knows who runs what."""
    url = house.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    with Redis.from_url(url, protocol=2, decode_responses=True) as redis:
        yield redis


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["in_progress", "output_text.delta"])
async def test_a_turn_goes_on_at_another_worker_without_the_reader_noticing(
    house: Service, redis: "Redis[str]", fault: signal.Signals, moment: str
) -> None:
    url = house.url.replace("http", "ws", 1) + "/v1/responses"
    expected = await undisturbed(url)
    async with connect(url) as socket:
        workers = workers_of(house)
        await ask(socket)
        events = await read(socket, until=moment)
        turn_id = events[0]["response"]["id"]
        process = workers[str(redis.hget(keys.turn(turn_id), "worker"))]
        process.send_signal(fault)
        try:
            events += await read(socket, until=END)
        finally:
            if fault is signal.SIGSTOP:
                # A zombie now: whatever it still wants to write must be refused.
                process.send_signal(signal.SIGCONT)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert said(events) == expected
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == expected
    if fault is not signal.SIGTERM:  # it may have time to finish
        assert redis.hget(keys.turn(turn_id), "attempt") == "2"
    assert redis.xlen(keys.log(turn_id)) == len(events)
