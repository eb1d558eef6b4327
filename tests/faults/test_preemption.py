"""Interactive turns preempt a batch that has every slot, and the batch loses no text by it."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis import Redis

from harness.service import Service
from harness.turn import new_turn
from tests.effort import examples
from tests.faults.conftest import QUESTION, Question, until_all_work
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.follower import Follower
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Tier, Turn

#: More turns than the two workers have slots.
BATCH = 20
Event = dict[str, Any]


@pytest.fixture
async def turn_client(service: Service) -> AsyncIterator[TurnClient]:
    """Give a client that submits turns as another node of the service would."""
    url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    async with open_client(
        TurnSettings(redis_url=url), f"bulk-{secrets.token_hex(4)}"
    ) as turn_client:
        yield turn_client


def make_turn(tier: Tier, most_tokens: int) -> Turn:
    sampling = {
        name: QUESTION[name]
        for name in ("temperature", "seed", "frequency_penalty", "presence_penalty")
    }
    return new_turn(
        QUESTION["input"],
        model="demo",
        owner=f"owner-of-{tier}",
        tier=tier,
        sampling=SamplingParams(max_tokens=most_tokens, top_p=1.0, **sampling),
    )


async def read(follower: Follower) -> list[Event]:
    return [json.loads(event) async for batch in follower.batches() for event in batch]


async def test_interactive_turns_preempt_a_batch_that_has_every_slot_and_its_texts_stay_exact(
    service: Service, redis: Redis, turn_client: TurnClient, undisturbed: Callable[[Question], str]
) -> None:
    await until_all_work(service, redis)
    most_tokens = examples(150, 300)
    expected = undisturbed(QUESTION | {"max_output_tokens": most_tokens})
    turns = [make_turn("batch", most_tokens) for _ in range(BATCH)]
    interactive = [make_turn("default", 4) for _ in range(3)]
    async with asyncio.timeout(150), AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(turn_client.submit(turn)) for turn in turns]
        batch = asyncio.gather(*map(read, followers))
        while redis.zcard(keys.preemptible("demo")) < 16:
            await asyncio.sleep(0.01)  # until the batch has every slot

        asked = [await stack.enter_async_context(turn_client.submit(turn)) for turn in interactive]
        answers = await asyncio.gather(*map(read, asked))
        running = redis.zcard(keys.preemptible("demo"))
        logs = await batch

    requeues = [int(redis.hget(keys.turn(turn.id), "requeues") or 0) for turn in turns]
    attempts = [int(redis.hget(keys.turn(turn.id), "attempt") or 0) for turn in turns]
    assert running > 0, "the batch had ended before the interactive turns were submitted"
    # At most one slot is preempted for each interactive turn.
    assert 1 <= sum(requeues) <= len(interactive)
    # More attempts if an overloaded machine lost a lease meanwhile.
    assert all(tries > times for tries, times in zip(attempts, requeues, strict=True))
    for events in logs:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert events[-1]["type"] in ("response.completed", "response.incomplete")
        assert "".join(event.get("delta", "") for event in events) == expected
    assert {events[-1]["type"] for events in answers} == {"response.incomplete"}
    assert redis.zcard(keys.preempted("demo")) == 0
