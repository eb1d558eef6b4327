"""JSON that one worker begins and another ends is whole, valid, and the same as without a fault."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from redis import Redis

from harness.json_schemas import validate
from harness.reader import Reader, event_text
from harness.record import assert_as_stored, fetch
from harness.service import Service
from tests.effort import examples
from tests.faults.conftest import Question, until_all_work
from turnstream.turns import keys

ROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 6, "maxLength": 14},
        "size": {"type": "integer", "minimum": 100, "maximum": 9999},
        "kind": {"enum": ["rot", "grün", "blau"]},
    },
    "required": ["name", "size", "kind"],
    "additionalProperties": False,
}


def rows(count: int) -> dict[str, Any]:
    """Return the schema of so many rows."""
    return {"type": "array", "items": ROW, "minItems": count, "maxItems": count}


def question(count: int) -> Question:
    """Return a question, greedy, that is answered with so many rows."""
    schema = {"type": "json_schema", "name": "rows", "schema": rows(count)}
    return {"input": "List some things.", "temperature": 0, "text": {"format": schema}}


#: Long enough that a fault comes in the middle.
ROWS = examples(6, 24)
QUESTION = question(ROWS)


@pytest.mark.parametrize(
    "fault", [signal.SIGSTOP, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
async def test_another_worker_ends_json_that_one_began(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    undisturbed: Callable[[Question], str],
    fault: signal.Signals,
) -> None:
    expected = undisturbed(QUESTION)
    reader = Reader(service.url)
    await reader.read(until=12, **QUESTION)
    workers[str(redis.hget(keys.turn(reader.id), "worker"))].send_signal(fault)
    await reader.read()

    assert int(redis.hget(keys.turn(reader.id), "attempt") or 0) == 2
    assert reader.text == expected
    assert reader.final["type"] == "response.completed"
    validate(reader.text, rows(ROWS))
    assert_as_stored(service, reader)


async def test_json_of_a_batch_that_was_preempted_is_whole(
    service: Service, redis: Redis, undisturbed: Callable[[Question], str]
) -> None:
    await until_all_work(service, redis)
    asking = question(examples(4, 24))
    expected = undisturbed(asking)
    later = asking | {"background": True, "background_options": {"completion_window": "8h"}}
    made = [fetch(service, "/v1/responses", later)["id"] for _ in range(18)]
    async with asyncio.timeout(60):
        while redis.zcard(keys.preemptible("demo")) < 16:
            await asyncio.sleep(0.01)  # until they have every slot
    asked = [Reader(service.url).answer(input="Hi", max_output_tokens=4) for _ in range(3)]
    await asyncio.gather(*asked)
    for id in made:
        events = await asyncio.to_thread(fetch, service, f"/v1/responses/{id}?stream=true")
        assert event_text(events) == expected

    assert sum(int(redis.hget(keys.turn(id), "requeues") or 0) for id in made) >= 1
