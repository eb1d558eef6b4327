"""A call of a tool that a worker's end interrupts is finished by another: the same call."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import psutil
import pytest
from redis import Redis

from harness.reader import call_events, calls_of
from harness.record import fetch
from harness.service import Service
from turnstream.prompts.tools import Tool
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.ids import new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Message, Request, Turn

#: Takes a second or more to write.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "lines": {
            "type": "array",
            "items": {"type": "string", "minLength": 20, "maxLength": 60},
            "minItems": 16,
            "maxItems": 16,
        }
    },
    "required": ["lines"],
    "additionalProperties": False,
}
TOOL = Tool(name="print_lines", parameters=json.dumps(SCHEMA), strict=True)


@pytest.fixture
async def turn_client(service: Service) -> AsyncIterator[TurnClient]:
    """A node's client: what the front end has of tools is tested elsewhere."""
    url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    async with open_client(TurnSettings(redis_url=url), "node-of-tests") as client:
        yield client


def make_turn() -> Turn:
    return Turn(
        id=new_response_id(),
        owner="local",
        model="demo",
        tier="default",
        input=(Message("user", "Print a story."),),
        request=Request(
            instructions=None,
            sampling=SamplingParams(temperature=1, seed=5, max_tokens=900),
            tools=(TOOL,),
            tool_choice="required",
            parallel_tool_calls=False,
        ),
        previous_response_id=None,
        previous_cached=False,
        store=True,
        metadata={},
        created_at=int(time.time()),
    )


async def answered(
    client: TurnClient, redis: Redis, victims: dict[str, psutil.Process] | None = None
) -> list[dict[str, Any]]:
    """Return the events of a turn; its worker is stopped once there are a few arguments."""
    turn, events = make_turn(), list[dict[str, Any]]()
    deltas = 0
    async with asyncio.timeout(120), client.submit(turn) as follower:
        async for batch in follower.batches():
            events += map(json.loads, batch)
            deltas = sum(event["type"].endswith("arguments.delta") for event in events)
            if victims and deltas >= 5:
                victims[str(redis.hget(keys.turn(turn.id), "worker"))].send_signal(signal.SIGSTOP)
                victims = None
    assert victims is None
    assert deltas > 10
    return events


async def test_another_worker_goes_on_in_the_arguments_of_a_call(
    turn_client: TurnClient, service: Service, redis: Redis, workers: dict[str, psutil.Process]
) -> None:
    undisturbed = await answered(turn_client, redis)
    events = await answered(turn_client, redis, workers)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response = events[-1]["response"]
    assert int(redis.hget(keys.turn(response["id"]), "attempt") or 0) == 2
    # One item, opened once, with the arguments that one worker alone would have written.
    [(name, arguments)] = call_events(events)
    assert [(name, arguments)] == call_events(undisturbed) == calls_of(response)
    assert response["status"] == "completed"
    jsonschema.validate(json.loads(arguments), SCHEMA)
    assert fetch(service, f"/v1/responses/{response['id']}")["output"] == response["output"]
