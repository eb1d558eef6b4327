"""Conversations with an id, by the official SDK; the worker is played by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection

from tests.ws_server.conversation_client import (
    answered,
    code_of_refusal,
    sdk_at,
    text_of,
    texts,
    user,
)
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import code_of, create, end, event


@pytest.fixture
async def client(node: str, worker: FakeWorker) -> AsyncIterator[AsyncOpenAI]:
    worker.heartbeat()
    async with sdk_at(node) as client:
        yield client


async def test_a_conversation_is_created_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"topic": "films"})
    read = await client.conversations.retrieve(made.id)
    changed = await client.conversations.update(made.id, metadata={"topic": "books"})
    deleted = await client.conversations.delete(made.id)

    assert read == made
    assert (made.object, made.metadata) == ("conversation", {"topic": "films"})
    assert (changed.id, changed.metadata) == (made.id, {"topic": "books"})
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "conversation.deleted", True)
    gone = (404, "conversation_not_found", None)
    assert await code_of_refusal(client.conversations.retrieve(made.id)) == gone


async def test_each_turn_continues_the_last_one_and_its_messages_become_items(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    first = await answered(client, worker, made.id, "One")
    second = await answered(client, worker, made.id, "Two")

    assert worker.claimed is not None
    assert [m.text for m in worker.claimed.messages] == ["One", "One.", "Two"]
    assert await texts(client, made.id) == ["One", "One.", "Two", "Two."]
    assert await texts(client, made.id, order="desc") == ["Two.", "Two", "One.", "One"]
    assert first.conversation.id == second.conversation.id == made.id
    assert second.previous_response_id is None
    assert first.output[0].id in [
        item.id async for item in client.conversations.items.list(made.id)
    ]


async def test_items_are_added_by_hand_and_read_and_removed_by_their_ids(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create(items=[user("One")])
    said: Any = {"role": "assistant", "content": [{"type": "output_text", "text": "One."}]}
    added = await client.conversations.items.create(made.id, items=[said, user("Two")])
    await answered(client, worker, made.id, "Three")
    assert worker.claimed is not None
    written_items = [m.text for m in worker.claimed.messages if m.text]
    listed = [item async for item in client.conversations.items.list(made.id, order="asc")]
    two = await client.conversations.items.retrieve(added.data[1].id or "", conversation_id=made.id)
    # An item of its own, and both kinds of a turn's.
    for item in (listed[1], listed[3], listed[4]):
        left = await client.conversations.items.delete(item.id or "", conversation_id=made.id)
        gone = client.conversations.items.retrieve(item.id or "", conversation_id=made.id)
        assert await code_of_refusal(gone) == (404, "item_not_found", None)
    await answered(client, worker, made.id, "Four")

    assert written_items == ["One", "One.", "Two", "Three"]
    assert [text_of(item) for item in listed] == [*written_items, "Three."]
    assert (text_of(two), added.has_more, added.last_id) == ("Two", False, two.id)
    assert left == made
    assert [m.text for m in worker.claimed.messages if m.text] == ["One", "Two", "Four"]
    assert await texts(client, made.id) == ["One", "Two", "Four", "Four."]


async def test_calls_of_an_answer_are_items_that_can_be_removed(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    asking = asyncio.create_task(client.responses.create(input="1+1?", conversation=made.id))
    await worker.claim()
    worker.call(("add", '{"a":1}'), ("now", "{}"))
    add, now = (await asking).output
    listed = [item async for item in client.conversations.items.list(made.id, order="asc")]
    await client.conversations.items.delete(now.id or "", conversation_id=made.id)
    output: Any = {"type": "function_call_output", "call_id": add.call_id, "output": "2"}  # type: ignore[union-attr]
    await answered(client, worker, made.id, [output])

    assert worker.claimed is not None
    said = [type(item).__name__ for item in worker.claimed.messages]
    assert said == ["Message", "FunctionCall", "FunctionCallOutput"]
    assert [item.to_dict() for item in listed[1:]] == [add.to_dict(), now.to_dict()]
    left = [item.type async for item in client.conversations.items.list(made.id, order="asc")]
    assert left == ["message", "function_call", "function_call_output", "message"]


async def test_a_second_turn_is_refused_while_one_runs_and_nothing_is_changed(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create(items=[user("Zero")])
    asking = asyncio.create_task(client.responses.create(input="One", conversation=made.id))
    await worker.claim()
    locked = (400, "conversation_locked", "conversation")
    for request in (
        client.responses.create(input="Two", conversation=made.id),
        client.conversations.items.create(made.id, items=[user("Two")]),
        client.conversations.delete(made.id),
    ):
        assert await code_of_refusal(request) == locked
    # What is being answered is no item yet.
    assert await texts(client, made.id) == ["Zero"]
    assert (await client.conversations.update(made.id, metadata={"a": "b"})).metadata == {"a": "b"}
    worker.say("One.")
    worker.end()
    await asking
    await answered(client, worker, made.id, "Two")

    assert await texts(client, made.id) == ["Zero", "One", "One.", "Two", "Two."]


async def test_the_sdk_repeats_a_request_that_met_a_locked_conversation(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    first = asyncio.create_task(client.responses.create(input="One", conversation=made.id))
    await worker.claim()
    retrying = client.with_options(max_retries=5)
    second = asyncio.create_task(retrying.responses.create(input="Two", conversation=made.id))
    worker.end()
    await first
    await worker.claim()
    worker.end()

    assert (await second).status == "completed"


async def test_a_failed_turn_unlocks_the_conversation_and_leaves_nothing_in_it(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    await answered(client, worker, made.id, "One")
    failing = asyncio.create_task(client.responses.create(input="Two", conversation=made.id))
    await worker.claim()
    worker.refuse()
    assert (await code_of_refusal(failing))[1] == "context_length_exceeded"
    await answered(client, worker, made.id, "Three")

    assert worker.claimed is not None
    assert [m.text for m in worker.claimed.messages] == ["One", "One.", "Three"]
    assert await texts(client, made.id) == ["One", "One.", "Three", "Three."]


async def test_a_cancelled_turns_text_so_far_is_an_item(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    running = await client.responses.create(
        input="One", conversation={"id": made.id}, background=True
    )
    await worker.claim()
    worker.say("On")
    worker.end("cancelled")
    waiting = await client.responses.create(input="Two", conversation=made.id, background=True)
    # It waits, so it ends at once and without an answer.
    await client.responses.cancel(waiting.id)

    assert running.conversation is not None
    assert running.conversation.id == made.id
    assert await texts(client, made.id) == ["One", "On", "Two"]
    await answered(client, worker, made.id, "Three")
    assert worker.claimed is not None
    written_items = [m.text for m in worker.claimed.messages if m.text]
    assert written_items == ["One", "On", "Two", "Three"]


async def test_a_conversations_turns_go_on_on_a_socket(
    client: AsyncOpenAI, worker: FakeWorker, socket: ClientConnection
) -> None:
    made = await client.conversations.create()
    await create(socket, input="One", conversation=made.id, stream_id="a")
    created = await event(socket)
    await worker.claim()
    await create(socket, input="Two", conversation=made.id, stream_id="b")
    while (refused := await end(socket))["stream_id"] != "b":
        pass
    worker.say("One.")
    worker.end()
    await end(socket)
    await create(socket, input="Three", conversation={"id": made.id}, generate=False)
    assert (await end(socket))["type"] == "response.completed"

    assert created["response"]["conversation"] == {"id": made.id}
    assert code_of(refused) == ("conversation_locked", 400)
    assert await texts(client, made.id) == ["One", "One.", "Three"]


async def test_a_turn_that_is_not_stored_stays_in_its_conversation(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    first = await answered(client, worker, made.id, "One", store=False)
    kept = await answered(client, worker, made.id, "Two")
    assert await texts(client, made.id) == ["One", "One.", "Two", "Two."]
    await client.conversations.delete(made.id)

    assert (await client.responses.retrieve(kept.id)).output_text == "Two."
    gone = (404, "response_not_found", None)
    assert await code_of_refusal(client.responses.retrieve(first.id)) == gone


async def test_a_conversation_goes_on_without_a_response_that_was_deleted(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create()
    first = await answered(client, worker, made.id, "One")
    second = await answered(client, worker, made.id, "Two")
    third = await answered(client, worker, made.id, "Three")
    for deleted in (second, first, third):
        await client.responses.delete(deleted.id)
    await answered(client, worker, made.id, "Four")

    assert worker.claimed is not None
    assert [m.text for m in worker.claimed.messages] == ["Four"]
    assert await texts(client, made.id) == ["Four", "Four."]


async def test_a_question_that_was_added_by_hand_is_answered_without_repeating_it(
    client: AsyncOpenAI, worker: FakeWorker
) -> None:
    made = await client.conversations.create(items=[user("One")])
    await answered(client, worker, made.id, "", extra_body={"input": []})

    assert worker.claimed is not None
    assert [m.text for m in worker.claimed.messages if m.text] == ["One"]
