"""Fixtures: a node's client, a worker's clients and turns, on the real Redis of the tests."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest
import redis.asyncio

from harness.turn import GREEDY, new_turn
from tests.turns.batch_values import PLAN
from turnstream.turns.batch import Batch, line_turn_id
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect, connect_async
from turnstream.turns.conversations import Conversation
from turnstream.turns.event_json import response_fields_json
from turnstream.turns.ids import new_conversation_id
from turnstream.turns.log import Append, Entry, Final, Log
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.response import message_item
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import BatchLine, Message, Turn

MODEL = "tiny"

MakeTurn = Callable[..., Turn]


@pytest.fixture
def settings(redis_url: str, redis: "redis.asyncio.Redis") -> TurnSettings:
    """Settings for an emptied Redis, with long leases."""
    return TurnSettings(redis_url=redis_url)


@pytest.fixture
async def turn_client(settings: TurnSettings) -> AsyncIterator[TurnClient]:
    async with open_client(settings, "node-1") as turn_client:
        yield turn_client


@pytest.fixture
def make_queue(settings: TurnSettings) -> Iterator[Callable[..., TurnQueue]]:
    client = connect(settings.redis_url)

    def make(worker: str = "w0", settings: TurnSettings = settings) -> TurnQueue:
        return TurnQueue(client, settings, model=MODEL, worker=worker)

    yield make
    client.close()


@pytest.fixture
def queue(make_queue: Callable[..., TurnQueue]) -> TurnQueue:
    return make_queue()


@pytest.fixture
def log(settings: TurnSettings) -> Iterator[Log]:
    client = connect(settings.redis_url)
    yield Log(client, settings, worker="w0")
    client.close()


@pytest.fixture
def make_turn() -> MakeTurn:
    seeds = itertools.count()

    def make(
        text: str = "Hello",
        *,
        owner: str = "ann",
        tier: str = "default",
        previous_response_id: str | None = None,
        previous_cached: bool = False,
        store: bool = True,
        key: str | None = None,
        siblings: int = 0,
    ) -> Turn:
        return new_turn(
            text,
            model=MODEL,
            owner=owner,
            tier=tier,  # type: ignore[arg-type]
            sampling=replace(GREEDY, seed=next(seeds)),
            previous_response_id=previous_response_id,
            previous_cached=previous_cached,
            store=store,
            siblings=siblings,
            idempotency_key=key,
            fingerprint=text,
        )

    return make


@pytest.fixture
async def client(settings: TurnSettings) -> AsyncIterator["redis.asyncio.Redis"]:
    """A node's client."""
    client = connect_async(settings.redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def calls(settings: TurnSettings) -> RedisCalls:
    return RedisCalls(ProblemLog(settings.redis_url))


@pytest.fixture
def store(client: "redis.asyncio.Redis", calls: RedisCalls, settings: TurnSettings) -> BatchStore:
    return BatchStore(client, calls, settings, CurrentLimits(settings.limits))


@pytest.fixture
async def batch(client: "redis.asyncio.Redis", store: BatchStore) -> Batch:
    """A batch of ann's, taken."""
    await store.create("ann", PLAN, None)
    batch = await store.take()
    assert batch is not None
    return batch


@pytest.fixture
def line_of(make_turn: MakeTurn) -> Callable[..., Turn]:
    """Make a line of a batch, by its number."""

    def make(batch: Batch, number: int) -> Turn:
        origin = BatchLine(batch=batch.id, epoch=batch.epoch, number=number)
        turn = make_turn(tier="batch", store=False)
        return replace(turn, id=line_turn_id(batch.id, number), batch=origin)

    return make


def slices(turn_id: str, *, attempt: int = 1, first: int, texts: list[str]) -> Append:
    """Make an append of events whose JSON is only their text."""
    entries = tuple(Entry(f'{{"n":"{text}"}}', (first + i,)) for i, text in enumerate(texts))
    return Append(id=turn_id, attempt=attempt, first=first, entries=entries)


def ending(turn_id: str, *, attempt: int = 1, first: int, text: str = "said") -> Append:
    """Make an append of the terminal event."""
    output = [message_item(turn_id, "completed", text)]
    response = response_fields_json({"id": "x", "output": output})
    final = Final(status="completed", error="null", response=response, text=text)
    entries = (Entry('{"end":1}'),)
    return Append(id=turn_id, attempt=attempt, first=first, entries=entries, final=final)


async def submitted(turn_client: TurnClient, turn: Turn) -> Turn:
    """Submit a turn and stop following it."""
    async with turn_client.submit(turn):
        return turn


@pytest.fixture
async def conversation(turn_client: TurnClient) -> str:
    """A conversation of ann's, with one message."""
    made = Conversation(id=new_conversation_id(), created_at=1_800_000_000, metadata={})
    await turn_client.conversations.create(made, "ann", [Message("user", "Zero")])
    return made.id
