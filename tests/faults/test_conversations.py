"""A conversation with an id goes on after whatever happens to the turn that runs in it."""

import asyncio
import json
import signal
import urllib.error
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from redis import Redis

from harness.reader import Reader
from harness.record import fetch
from harness.service import Service
from tests.faults.conftest import QUESTION, Question
from turnstream.turns import keys

Undisturbed = Callable[[Question], str]
NEXT = {"input": "Go on.", "max_output_tokens": 4, "temperature": 0}


def conversation_of(service: Service) -> str:
    id: str = fetch(service, "/v1/conversations", {})["id"]
    return id


def said_in(service: Service, conversation: str) -> list[str]:
    found = fetch(service, f"/v1/conversations/{conversation}/items?order=asc&limit=100")
    return [part["text"] for item in found["data"] for part in item["content"]]


def refusal_of(service: Service, path: str, body: Any) -> str:
    """Give the code with which a request is refused."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(service, path, body)
    code: str = json.loads(refused.value.read())["error"]["code"]
    return code


async def test_a_turn_whose_worker_stops_keeps_its_conversation_locked_until_it_ends(
    service: Service,
    redis: Redis,
    workers: dict[str, psutil.Process],
    reader: Reader,
    undisturbed: Undisturbed,
) -> None:
    expected = undisturbed(QUESTION)
    conversation = conversation_of(service)
    asked = {"conversation": conversation, **NEXT}
    await reader.read(until="output_text.delta", **QUESTION, conversation=conversation)
    workers[str(redis.hget(keys.turn(reader.id), "worker"))].send_signal(signal.SIGSTOP)
    locked = await asyncio.to_thread(refusal_of, service, "/v1/responses", asked)
    await reader.read()
    after = await asyncio.to_thread(fetch, service, "/v1/responses", asked)

    assert locked == "conversation_locked"
    assert reader.text == expected
    assert redis.hget(keys.turn(reader.id), "attempt") == "2"
    assert after["status"] == "incomplete"
    assert said_in(service, conversation)[:3] == [QUESTION["input"], expected, "Go on."]


async def test_a_node_that_is_killed_leaves_no_conversation_locked(
    service: Service, redis: Redis, reader: Reader, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(QUESTION)
    conversation = conversation_of(service)
    await reader.read(until="output_text.delta", **QUESTION, conversation=conversation)
    service.child("serve").kill()
    await reader.read()
    after = Reader(service.url)
    await after.answer(**NEXT, conversation=conversation)

    assert reader.text == expected
    assert said_in(service, conversation) == [QUESTION["input"], expected, "Go on.", after.text]


async def test_of_many_turns_at_once_in_one_conversation_one_is_answered_at_a_time(
    service: Service, redis: Redis
) -> None:
    conversation = conversation_of(service)

    def ask(number: int) -> str:
        try:
            asked = NEXT | {"input": str(number), "conversation": conversation}
            fetch(service, "/v1/responses", asked)
        except urllib.error.HTTPError as refused:
            code: str = json.loads(refused.read())["error"]["code"]
            return code
        return str(number)

    ends = await asyncio.gather(*(asyncio.to_thread(ask, number) for number in range(12)))
    said = said_in(service, conversation)

    answered = [end for end in ends if end.isdigit()]
    assert answered
    assert set(ends) - set(answered) <= {"conversation_locked"}
    assert sorted(said[::2]) == sorted(answered)
    assert len(said) == 2 * len(answered)
