"""A cancel reaches a turn of its socket in every state."""

import pytest
from websockets.asyncio.client import ClientConnection

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import answered, code_of, create, end, event, send, until

UNKNOWN = "resp_" + 32 * "f"


async def test_stop_reaches_a_turn_that_has_not_begun_yet(socket: ClientConnection) -> None:
    for _ in range(5):
        await create(socket, input="One?")
        await send(socket, type="response.cancel")

        last = await end(socket)

        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")


async def test_stop_by_id_reaches_a_turn_of_another_lane(socket: ClientConnection) -> None:
    await create(socket, input="One?", stream_id="left")
    response_id = (await event(socket))["response"]["id"]
    await send(socket, type="response.cancel", response_id=response_id)

    last = await end(socket)

    assert (last["stream_id"], last["response"]["status"]) == ("left", "cancelled")


@pytest.mark.parametrize("which", ["ended", "unknown"])
async def test_a_refused_cancel_is_reported_after_the_running_turn_of_its_lane(
    socket: ClientConnection, worker: FakeWorker, which: str
) -> None:
    ended = await answered(socket, worker)
    await create(socket, input="Two?")
    await worker.claim()
    await until(socket, "response.in_progress")
    await send(socket, type="response.cancel", response_id=ended if which == "ended" else UNKNOWN)
    worker.say("Two.")
    assert (await until(socket, "response.output_text.delta", "error"))["type"] != "error"
    worker.end()

    assert (await end(socket))["type"] == "response.completed"
    assert code_of(await end(socket)) == ("response_not_active", 400)


async def test_stop_with_nothing_running_is_refused(socket: ClientConnection) -> None:
    await send(socket, type="response.cancel")

    assert code_of(await event(socket)) == ("response_not_active", 400)
