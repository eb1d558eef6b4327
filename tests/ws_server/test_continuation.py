"""What a turn on a socket can continue: a stored response, or the last one of its own lane."""

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import Event, answered, code_of, create, end, event, socket_url
from turnstream.turns.turn import Message

NOT_FOUND = ("previous_response_not_found", 400)


async def test_an_answer_is_continued_when_nothing_is_said(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker)
    await create(socket, input=[], previous_response_id=parent)

    assert (await worker.claim()).messages[-1] == Message("assistant", "One.")


@pytest.mark.parametrize("generate", [True, False])
async def test_a_response_that_is_not_stored_is_continued_by_its_own_socket_only(
    socket: ClientConnection, node: str, worker: FakeWorker, generate: bool
) -> None:
    if generate:
        parent = await answered(socket, worker, store=False)
    else:
        await create(socket, input="One?", store=False, generate=False)
        parent = (await end(socket))["response"]["id"]
    async with connect(socket_url(node)) as other:
        await create(other, input="Two?", previous_response_id=parent)
        assert code_of(await end(other)) == NOT_FOUND
    await create(socket, input="Two?", previous_response_id=parent)

    assert (await event(socket))["type"] == "response.created"


@pytest.mark.parametrize(
    "bad",
    [
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": "Two?", "model": "nobody"},
        {"input": " "},
    ],
)
async def test_a_failed_continuation_evicts_the_previous_response_of_its_lane(
    socket: ClientConnection, worker: FakeWorker, bad: Event
) -> None:
    parent = await answered(socket, worker, store=False)
    await create(socket, **bad, previous_response_id=parent)
    assert (await end(socket))["type"] == "error"
    await create(socket, input="Two?", previous_response_id=parent)

    assert code_of(await end(socket)) == NOT_FOUND


async def test_a_failed_fork_on_another_lane_keeps_the_previous_response(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker, store=False)
    await create(socket, input=7, previous_response_id=parent, stream_id="fork")
    assert (await end(socket))["stream_id"] == "fork"
    await create(socket, input="Two?", previous_response_id=parent, stream_id="fork")

    assert (await event(socket))["type"] == "response.created"


async def test_a_failure_evicts_nothing_but_the_previous_response(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker, store=False)
    forked = await answered(socket, worker, store=False, stream_id="fork")
    await create(socket, input=7, previous_response_id=parent, stream_id="fork")
    await end(socket)
    await create(socket, input="Two?", previous_response_id=forked, stream_id="fork")

    assert (await event(socket))["type"] == "response.created"


async def test_only_the_latest_of_a_lane_is_remembered(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    older = await answered(socket, worker, store=False)
    await answered(socket, worker, store=False, previous_response_id=older)
    await create(socket, input="Three?", previous_response_id=older)

    assert code_of(await end(socket)) == NOT_FOUND


async def test_a_stored_response_is_found_after_a_failed_continuation(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker)
    await create(socket, input=7, previous_response_id=parent)
    await end(socket)
    await create(socket, input="Two?", previous_response_id=parent)

    assert (await event(socket))["type"] == "response.created"


async def test_a_stored_answer_may_be_referenced(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker)
    await create(
        socket,
        input=[
            {"role": "user", "content": "One?"},
            {"type": "item_reference", "id": parent.replace("resp_", "msg_")},
            {"role": "user", "content": "Two?"},
        ],
    )

    claimed = await worker.claim()

    assert [message.text for message in claimed.messages] == ["One?", "One.", "Two?"]


async def test_an_answer_that_is_not_stored_cannot_be_referenced(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await answered(socket, worker, store=False)
    named = {"type": "item_reference", "id": parent.replace("resp_", "msg_")}
    question = {"role": "user", "content": "Two?"}
    await create(socket, input=[question, named, question])
    refusal = await end(socket)

    assert code_of(refusal) == ("item_not_found", 400)
    assert refusal["error"]["param"] == "input[1].id"
