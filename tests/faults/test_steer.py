"""Input that was accepted reaches one successor, whatever breaks before the response has ended.

The official SDK is the client. The workers are stopped until the fault is over, so that it comes
between the acceptance and the end.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from openai import AsyncOpenAI
from openai.resources.responses.responses import AsyncResponsesConnection
from redis import Redis

from harness.record import fetch
from harness.service import Service
from tests.faults.conftest import BACK_SECONDS, QUESTION
from tests.faults.test_redis import until_redis_answers
from turnstream.client import AsyncClient, Options, RequestRefused, Response
from turnstream.turns import keys

# The SDK's own way to connect, which websockets 17 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

ENDS = ("response.completed", "response.incomplete", "response.failed")
Workers = dict[str, psutil.Process]


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@asynccontextmanager
async def resumed(client: AsyncOpenAI, parent: str) -> AsyncIterator[AsyncResponsesConnection]:
    query = {"resume_response_id": parent, "starting_after": "0"}
    async with client.responses.connect(extra_query=query) as connection:
        yield connection


async def until(connection: AsyncResponsesConnection, *types: str) -> Any:
    async with asyncio.timeout(BACK_SECONDS):
        async for event in connection:
            if event.type in types:
                return event
            assert event.type not in ("error", "response.steer.failed"), event
    raise AssertionError(f"the socket was closed before one of {types}")


async def begun(connection: AsyncResponsesConnection) -> str:
    """Ask for a long answer; return its id once it has begun."""
    await connection.send({"type": "response.create", "model": "demo", **QUESTION})  # type: ignore[arg-type]
    id: str = (await until(connection, "response.created")).response.id
    await until(connection, "response.output_text.delta")
    return id


async def stopped(connection: AsyncResponsesConnection, redis: Redis, workers: Workers) -> str:
    """Ask for a long answer and stop the workers while it is written; return its id."""
    while True:
        id = await begun(connection)
        for worker in workers.values():
            worker.suspend()
        if redis.hget(keys.turn(id), "status") == "in_progress":
            return id
        # A busy machine read its beginning after its end.
        for worker in workers.values():
            worker.resume()
        await until(connection, *ENDS)


async def ended(connection: AsyncResponsesConnection, parent: str) -> str:
    """Read a steered response and its successor to their ends; return the successor's id."""
    last = await until(connection, *ENDS)
    assert (last.response.id, last.response.incomplete_details.reason) == (parent, "steered")
    assert last.response.output_text
    successor = (await until(connection, "response.created")).response
    assert successor.previous_response_id == parent
    end = (await until(connection, *ENDS)).response
    assert end.id == successor.id
    assert end.output_text
    id: str = successor.id
    return id


async def said(service: Service, redis: Redis, parent: str) -> dict[str, list[str]]:
    """Return what each turn says that continues a response."""
    found = {}
    for key in redis.scan_iter(keys.turn("*"), count=1000):
        if redis.hget(key, "previous_response_id") == parent:
            items = json.loads(redis.hget(key, "input") or "[]")
            found[str(key).removeprefix(keys.turn(""))] = [text for _, text in items]
    return found


async def until_answered(service: Service) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        while not await asyncio.to_thread(service.answers):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "fault",
    [
        "node",
        "redis",
        pytest.param("worker", marks=pytest.mark.long),
        pytest.param("stopped worker", marks=pytest.mark.long),
    ],
)
async def test_accepted_input_has_one_successor_after_a_fault(
    service: Service, redis: Redis, workers: Workers, client: AsyncOpenAI, fault: str
) -> None:
    async with client.responses.connect() as connection:
        parent = await stopped(connection, redis, workers)
        await connection.response.steer(previous_response_id=parent, input="Shorter!")
        await until(connection, "response.steer.accepted")
        runs_at = str(redis.hget(keys.turn(parent), "worker"))
        match fault:
            case "node":
                service.child("serve").kill()
            case "worker":
                workers[runs_at].kill()
            case "redis":
                service.child("redis").kill()
                await until_redis_answers(redis)
    for name, worker in workers.items():
        # One that stays stopped loses the turn.
        if worker.is_running() and (fault, name) != ("stopped worker", runs_at):
            worker.resume()
    await until_answered(service)
    async with resumed(client, parent) as connection:
        successor = await ended(connection, parent)

    assert await said(service, redis, parent) == {successor: ["Shorter!"]}
    steering = fetch(service, f"/v1/responses/{parent}")["steering"]
    assert steering == {"outcome": "continued", "response_id": successor}


async def test_a_steer_whose_answer_was_lost_is_sent_again_and_counts_once(
    service: Service, redis: Redis, workers: Workers, client: AsyncOpenAI
) -> None:
    async with client.responses.connect() as connection:
        parent = await stopped(connection, redis, workers)
        await connection.response.steer(previous_response_id=parent, input="Shorter!")
        async with asyncio.timeout(BACK_SECONDS):
            while (known := redis.hget(keys.steers(parent), "id:1")) is None:
                await asyncio.sleep(0.02)
    async with resumed(client, parent) as connection:
        await connection.response.steer(previous_response_id=parent, input="Shorter!")
        accepted = await until(connection, "response.steer.accepted")
        for worker in workers.values():
            worker.resume()
        successor = await ended(connection, parent)

    assert accepted.steer.id == known
    assert await said(service, redis, parent) == {successor: ["Shorter!"]}


async def test_two_devices_that_steer_at_once_make_one_successor_with_all_that_they_said(
    service: Service, redis: Redis, workers: Workers, client: AsyncOpenAI
) -> None:
    async def steer(connection: AsyncResponsesConnection, device: str) -> None:
        for number in range(5):
            text = f"{device} {number}"
            await connection.response.steer(previous_response_id=parent, input=text)
            await until(connection, "response.steer.accepted")

    async with client.responses.connect() as first, client.responses.connect() as second:
        parent = await stopped(first, redis, workers)
        await asyncio.gather(steer(first, "phone"), steer(second, "tablet"))
        for worker in workers.values():
            worker.resume()
        successor = await ended(first, parent)

    [texts] = (await said(service, redis, parent)).values()
    assert list(await said(service, redis, parent)) == [successor]
    for device in ("phone", "tablet"):
        own = [text for text in texts if text.startswith(device)]
        assert own == [f"{device} {number}" for number in range(5)]


@pytest.mark.long
async def test_each_accepted_word_is_used_once_while_everything_is_killed(
    service: Service, redis: Redis, workers: Workers
) -> None:
    talks: list[tuple[Response, list[str]]] = []

    async def talk(client: AsyncClient, number: int) -> None:
        turn = await client.create(**QUESTION | {"seed": number})
        accepted = []
        for word in ("one", "two", "three"):
            try:
                await turn.steer(f"{number} {word}")
            except RequestRefused as exc:
                if exc.code not in ("response_already_completed", "response_not_active"):
                    raise
                break
            accepted.append(f"{number} {word}")
        talks.append((await turn.response(), accepted))
        if turn.successor is not None:
            await turn.successor.response()

    async def break_things(draw: random.Random, talking: "asyncio.Task[None]") -> None:
        while not talking.done():
            await asyncio.sleep(draw.uniform(1, 3))
            kind = draw.choice(("serve", "worker", "redis"))
            with suppress(AssertionError, psutil.Error):
                service.child(kind).kill()
            await until_redis_answers(redis)

    async def all_talks(client: AsyncClient) -> None:
        for wave in range(2):
            await asyncio.gather(*(talk(client, 8 * wave + number) for number in range(8)))

    options = Options(retry_seconds=BACK_SECONDS, ping_seconds=2)
    async with AsyncClient(service.url, options=options) as client:
        talking = asyncio.create_task(all_talks(client))
        await break_things(random.Random(5), talking)
        await talking

    assert len(talks) == 16
    for ended, accepted in talks:
        # A turn that lost too many workers fails, and gives back what it got.
        outcome = "failed" if ended.status == "failed" else "continued"
        assert ended.steering == (outcome if accepted else None)
        used = {} if ended.successor_id is None else {ended.successor_id: accepted}
        assert await said(service, redis, ended.id) == used
    assert any(ended.steering == "continued" for ended, _ in talks)
