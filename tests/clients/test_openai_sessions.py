"""The managed sessions of the official Python SDK: lanes that share one socket."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib.responses_websocket import (
    AsyncResponsesWebSocketLane,
    AsyncResponsesWebSocketSession,
    ResponsesWebSocketAccumulator,
    ResponsesWebSocketError,
    ResponsesWebSocketLane,
    ResponsesWebSocketLimits,
    ResponsesWebSocketSession,
)
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides

from harness.proxy import Proxy
from harness.service import Service

TITANIC = "Do you know the movie Titanic?"
DIRECTOR = "Who is the director of the movie?"
LANES = ("one", "two", "three", "four", "five")
TURN_SECONDS = 60.0
LIMITS = ResponsesWebSocketLimits(
    max_lanes=8,
    max_events_per_lane=2_000,
    max_events=8_000,
    max_bytes_per_lane=8 * 1024 * 1024,
    max_bytes=32 * 1024 * 1024,
)
#: Repeats itself (a negative penalty), so that it does not end before its limit.
LONG: dict[str, Any] = {
    "input": "Write a long story.",
    "temperature": 0,
    "max_output_tokens": 200,
    "frequency_penalty": -2,
}

# The SDK's own way to connect, which websockets 17 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")


@pytest.fixture
def session(service: Service) -> Iterator[ResponsesWebSocketSession]:
    with (
        OpenAI(base_url=f"{service.url}/v1", api_key="any") as client,
        client.responses.connect() as connection,
        ResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        yield session


@pytest.fixture
async def asession(service: Service) -> AsyncIterator[AsyncResponsesWebSocketSession]:
    async with (
        AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any") as client,
        client.responses.connect() as connection,
        AsyncResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        yield session


def asked(**fields: Any) -> Any:
    return {"type": "response.create", "model": "demo", "temperature": 0, **fields}


def test_five_lanes_of_a_sync_session_hold_a_conversation_each(
    session: ResponsesWebSocketSession,
) -> None:
    def talk(lane: ResponsesWebSocketLane) -> tuple[str, str]:
        lane.send(asked(input=TITANIC))
        first = lane.get_final_response(timeout=TURN_SECONDS)
        lane.send(asked(input=DIRECTOR, previous_response_id=first.id))
        return first.output_text, lane.get_final_response(timeout=TURN_SECONDS).output_text

    lanes = [session.lane(name) for name in LANES]
    with ThreadPoolExecutor(len(lanes)) as threads:
        answers = list(threads.map(talk, lanes))

    assert len(set(answers)) == 1
    assert "Titanic" in answers[0][0]
    assert "Cameron" in answers[0][1]


async def test_five_lanes_of_an_async_session_and_the_default_one_run_at_once(
    asession: AsyncResponsesWebSocketSession,
) -> None:
    async def first_word(lane: AsyncResponsesWebSocketLane) -> ResponsesWebSocketAccumulator:
        seen = ResponsesWebSocketAccumulator()
        while True:
            event = await lane.recv()
            seen.add_event(event)
            if event.type == "response.output_text.delta":
                return seen

    lanes = [asession.default, *(asession.lane(name) for name in LANES)]
    for lane in lanes:
        await lane.send(asked(**LONG))
    async with asyncio.timeout(TURN_SECONDS):
        begun = await asyncio.gather(*map(first_word, lanes))
        ended = await asyncio.gather(*(lane.get_final_response() for lane in lanes))

    # Each had a word before any of them was read to its end.
    assert all(seen.snapshot().output_text for seen in begun)
    assert len({response.id for response in ended}) == len(lanes)
    assert {response.output_text for response in ended} == {ended[0].output_text}
    assert {response.status for response in ended} == {"incomplete"}


async def test_a_refused_request_is_its_lanes_error_and_the_lane_goes_on(
    asession: AsyncResponsesWebSocketSession,
) -> None:
    lane, other = asession.lane("one"), asession.lane("two")
    await other.send(asked(input=TITANIC))
    await lane.send(asked(input=TITANIC, previous_response_id="resp_unknown"))
    async with asyncio.timeout(TURN_SECONDS):
        with pytest.raises(ResponsesWebSocketError) as refused:
            await lane.get_final_response()
        await lane.send(asked(input=TITANIC))
        after = await lane.get_final_response()
        elsewhere = await other.get_final_response()

    event: Any = refused.value.event
    assert event.error.code == "previous_response_not_found"
    assert after.output_text == elsewhere.output_text != ""


async def test_a_warm_up_on_one_lane_is_continued_on_another(
    asession: AsyncResponsesWebSocketSession,
) -> None:
    source, fork = asession.lane("source"), asession.lane("fork")
    async with asyncio.timeout(TURN_SECONDS):
        await source.send(asked(input=TITANIC, generate=False, store=False))
        warm = await source.get_final_response()
        await fork.send(asked(input=[], previous_response_id=warm.id, store=False))
        answer = await fork.get_final_response()

    assert warm.output == []
    assert "Titanic" in answer.output_text


async def test_all_lanes_of_a_session_go_on_after_a_lost_connection(service: Service) -> None:
    last = dict.fromkeys(LANES, -1)
    ids: dict[str, str] = {}
    resumed: list[int] = []

    def resume(event: ReconnectingEvent) -> ReconnectingOverrides:
        resumed.append(event.attempt)
        first, *others = LANES
        for name in others:
            frame: Any = {"type": "turnstream:response.resume", "stream_id": name}
            frame |= {"response_id": ids[name], "starting_after": last[name]}
            waiting.append(asyncio.ensure_future(connection.send(frame)))
        query = {"resume_response_id": ids[first], "starting_after": last[first]}
        return {"extra_query": query | {"stream_id": first}}

    async def read(name: str, lane: AsyncResponsesWebSocketLane) -> str:
        text = ""
        while True:
            event: Any = await lane.recv()
            if event.type == "error":
                raise AssertionError(event.to_json())
            if event.sequence_number <= last[name]:
                continue  # was still buffered in the session
            assert event.sequence_number == last[name] + 1
            last[name] = event.sequence_number
            if event.type == "response.created":
                ids[name] = event.response.id
            if event.type == "response.output_text.delta":
                text += event.delta
                silent.discard(name)
                if not silent and not resumed:
                    proxy.cut()
            if event.type == "response.incomplete":
                return text

    silent = set(LANES)
    waiting: list[asyncio.Future[None]] = []
    async with (
        Proxy(urlsplit(service.url).port or 0) as proxy,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{proxy.port}/v1", api_key="any") as client,
        client.responses.connect(on_reconnecting=resume, initial_delay=0.1) as connection,
        AsyncResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        lanes = {name: session.lane(name) for name in LANES}
        for lane in lanes.values():
            await lane.send(asked(**LONG))
        async with asyncio.timeout(TURN_SECONDS):
            texts = await asyncio.gather(*(read(name, lane) for name, lane in lanes.items()))
            await asyncio.gather(*waiting)
        whole = [(await client.responses.retrieve(ids[name])).output_text for name in LANES]

    assert resumed
    assert texts == whole
    assert all(whole)


def test_a_lane_of_a_session_is_steered_and_has_the_successor_next(
    session: ResponsesWebSocketSession,
) -> None:
    lane = session.lane("one")

    def until(*types: str) -> Any:
        while (event := lane.recv(timeout=TURN_SECONDS)).type not in types:
            pass
        return event

    lane.send(asked(**LONG))
    running = until("response.created").response.id
    until("response.output_text.delta")
    lane.send({"type": "response.steer", "previous_response_id": running, "input": TITANIC})
    accepted = until("response.steer.accepted")
    steered = until("response.incomplete").response
    successor = until("response.completed", "response.incomplete").response

    assert accepted.stream_id == "one"
    assert steered.incomplete_details.reason == "steered"
    assert successor.previous_response_id == steered.id == running
    assert successor.output_text
