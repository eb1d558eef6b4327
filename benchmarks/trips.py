"""Four paths to another process and back, each as a function that makes one trip and times it.

A trip is timed in this process, from before the request is sent until its first reply is read;
later events of the turn are read, but not timed. `python -m benchmarks.trips`, with the URL of
Redis in `TURNSTREAM_REDIS_URL`, is the other end of the two shortest paths.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis
import redis.asyncio
from websockets.asyncio.client import ClientConnection, connect

from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Turn

#: Makes one trip and returns its seconds.
Trip = Callable[[], Awaitable[float]]

#: The lists of the two shortest paths; what is pushed to one is published under the same name.
FLOOR, BARE = "floor", "bare"

QUESTION = "Who are you?"
#: The default instructions are longer than the tiny model's context.
INSTRUCTIONS = "Be brief."
_STARTED = "response.in_progress"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class TripFailed(Exception):
    """A turn was not answered; the message is the event or timeout that came instead."""


@asynccontextmanager
async def redis_trip(url: str, name: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Yield the shortest trip: LPUSH to a list, BRPOP by another process, PUBLISH, subscriber."""
    # The subscription has no timeout, because it is silent between trips.
    client = redis.asyncio.Redis.from_url(url, protocol=2, socket_timeout=None)
    async with client, client.pubsub() as pubsub:
        await pubsub.subscribe(name)
        messages = pubsub.listen()
        await anext(messages)

        async def trip(text: str) -> str:
            await client.lpush(name, text)
            published: bytes = (await anext(messages))["data"]
            return published.decode()

        yield trip


@asynccontextmanager
async def through_redis(url: str) -> AsyncIterator[Trip]:
    """Yield the floor of a turn without the socket."""
    async with redis_trip(url, FLOOR) as trip:

        async def timed() -> float:
            begun = time.perf_counter()
            await trip(QUESTION)
            return time.perf_counter() - begun

        yield timed


@asynccontextmanager
async def through_bare_socket(address: str) -> AsyncIterator[Trip]:
    """Yield the floor of a turn on a WebSocket, at `benchmarks.bare_trip`."""
    async with connect(f"ws://{address}/", compression=None, proxy=None) as socket:

        async def timed() -> float:
            frame = _frame()
            begun = time.perf_counter()
            await socket.send(frame)
            json.loads(await socket.recv())
            return time.perf_counter() - begun

        yield timed


@asynccontextmanager
async def through_client(url: str, model: str) -> AsyncIterator[Trip]:
    """Yield a turn without the socket: submitted by `turns.client` in this process."""
    async with open_client(TurnSettings(redis_url=url), "benchmark") as turn_client:
        yield lambda: _submit_turn(turn_client, model)


async def _submit_turn(turn_client: TurnClient, model: str) -> float:
    turn = Turn(
        id=new_response_id(),
        owner="benchmark",
        model=model,
        tier="default",
        input=(Message("user", QUESTION),),
        request=Request(
            instructions=INSTRUCTIONS,
            sampling=SamplingParams(max_tokens=1, temperature=0.0, top_p=1.0, seed=1),
        ),
        previous_response_id=None,
        previous_cached=False,
        store=False,
        metadata={},
        created_at=int(time.time()),
    )
    took = None
    last: dict[str, Any] = {}
    begun = time.perf_counter()
    async with turn_client.submit(turn) as follower:
        async for batch in follower.batches():
            for event in batch:
                last = json.loads(event)
                if last["type"] == _STARTED:
                    took = time.perf_counter() - begun
    return _checked(took, last)


@asynccontextmanager
async def through_socket(address: str) -> AsyncIterator[Trip]:
    """Yield a turn as a client sees it, on a WebSocket that stays open."""
    url = f"ws://{address}/v1/responses"
    async with connect(url, compression=None, proxy=None) as socket:
        yield lambda: _ask(socket)


def _frame() -> str:
    return json.dumps(
        {
            "type": "response.create",
            "input": QUESTION,
            "instructions": INSTRUCTIONS,
            "max_output_tokens": 1,
            "temperature": 0,
            "store": False,
        }
    )


async def _ask(socket: ClientConnection) -> float:
    took = None
    last: dict[str, Any] = {"type": ""}
    frame = _frame()
    begun = time.perf_counter()
    await socket.send(frame)
    while last["type"] not in _ENDS:
        last = json.loads(await socket.recv())
        if last["type"] == _STARTED:
            took = time.perf_counter() - begun
    return _checked(took, last)


def _checked(took: float | None, last: dict[str, Any]) -> float:
    if took is None or last["type"] not in ("response.completed", "response.incomplete"):
        raise TripFailed(json.dumps(last))
    return took


async def within(trip: Trip, seconds: float) -> float:
    """Make a trip.

    Raises:
        TripFailed: it took longer than this.
    """
    try:
        async with asyncio.timeout(seconds):
            return await trip()
    except TimeoutError as exc:
        raise TripFailed(f"no answer within {seconds:.0f} s") from exc


def main() -> None:
    """Publish whatever is pushed to the lists, until the process is ended."""
    url = os.environ["TURNSTREAM_REDIS_URL"]
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=None)
    while True:
        name, text = client.brpop([FLOOR, BARE])  # type: ignore[misc]
        client.publish(name, text)


if __name__ == "__main__":
    main()
