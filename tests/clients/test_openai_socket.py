"""The official Python SDK, sync and async, over the socket."""

from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.openai_turns import DIRECTOR, ENDLESS, LONG, TITANIC, rest, said, turn

# The SDK's own way to connect, which websockets 17 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")


def test_a_sync_socket_carries_a_conversation(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = turn(connection, input=TITANIC, temperature=0)
        end: Any = first[-1]
        second = turn(
            connection, input=DIRECTOR, temperature=0, previous_response_id=end.response.id
        )

    assert "Titanic" in said(first) == end.response.output_text
    assert "Cameron" in said(second)


async def test_an_async_socket_cancels_a_turn_and_continues_from_its_text(
    aclient: AsyncOpenAI,
) -> None:
    async with aclient.responses.connect() as connection:
        asked = {"type": "response.create", "model": "demo"} | LONG | ENDLESS
        await connection.send(asked)  # type: ignore[arg-type]
        events: list[Any] = []
        async for event in connection:
            events.append(event)
            if event.type == "response.output_text.delta":
                break
        await connection.send({"type": "response.cancel"})  # type: ignore[arg-type]
        events += await rest(connection)
        stopped = events[-1].response
        await connection.response.create(
            model="demo", input=TITANIC, temperature=0, previous_response_id=stopped.id
        )
        after: Any = await rest(connection)

    assert (events[-1].type, stopped.status) == ("response.incomplete", "cancelled")
    assert said(events) == stopped.output_text != ""
    assert after[-1].response.previous_response_id == stopped.id


async def test_handlers_of_an_async_socket_are_called(aclient: AsyncOpenAI) -> None:
    pieces: list[str] = []
    async with aclient.responses.connect() as connection:

        @connection.on("response.output_text.delta")
        def piece(event: Any) -> None:
            pieces.append(event.delta)

        @connection.on("response.completed")
        async def done(event: Any) -> None:
            pieces.append(f"|{event.response.output_text}")
            await connection.close()

        await connection.response.create(model="demo", input=TITANIC)
        await connection.dispatch_events()

    text, _, whole = "".join(pieces).partition("|")
    assert text == whole != ""


async def test_a_refused_request_is_an_event_and_the_socket_stays_open(
    aclient: AsyncOpenAI,
) -> None:
    async with aclient.responses.connect() as connection:
        await connection.response.create(model="nobody's", input=TITANIC)
        refused: Any = await rest(connection)
        await connection.response.create(model="demo", input=TITANIC)
        after = await rest(connection)

    assert refused[-1].error.code == "model_not_found"
    assert after[-1].type == "response.completed"


def test_a_conversation_continues_on_a_socket_after_a_warm_up(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        warm: Any = turn(connection, input=TITANIC, generate=False)[-1]
        after: Any = turn(connection, input=[], previous_response_id=warm.response.id)[-1]

    assert (warm.type, warm.response.output) == ("response.completed", [])
    assert "Titanic" in after.response.output_text


def test_a_conversation_with_an_id_is_continued_over_http_and_on_a_socket(client: OpenAI) -> None:
    conversation = client.conversations.create(metadata={"topic": "films"})
    asked: dict[str, Any] = {"model": "demo", "conversation": conversation.id, "temperature": 0}

    first = client.responses.create(**asked, input=TITANIC)
    streamed = list(client.responses.create(**asked, input=DIRECTOR, stream=True))
    with client.responses.connect() as connection:
        third: Any = turn(
            connection, input="Hello", conversation={"id": conversation.id}, temperature=0
        )
    items = list(client.conversations.items.list(conversation.id, order="asc", limit=1))

    assert "Titanic" in first.output_text
    assert "Cameron" in said(streamed)
    assert third[-1].response.conversation.id == conversation.id
    texts = [part.text for item in items for part in item.content]  # type: ignore[union-attr]
    expected = [
        TITANIC,
        first.output_text,
        DIRECTOR,
        said(streamed),
        "Hello",
        said(third),
    ]
    assert texts == expected
    assert client.conversations.delete(conversation.id).deleted
    assert client.responses.retrieve(first.id).output_text == first.output_text
