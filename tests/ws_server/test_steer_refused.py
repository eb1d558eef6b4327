"""Input that no successor can have comes back as it was sent."""

from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.keyed_client import ask, bearer, socket_of, token_for
from tests.ws_server.steer_client import EVENT, all_until, running, steer
from tests.ws_server.wire_client import (
    answered,
    create,
    end,
    event,
    send,
    until,
)
from turnstream.turns.api_keys import ApiKeys

UNKNOWN = "resp_" + 32 * "f"


@pytest.mark.parametrize("how", ["failed", "cancelled", "refused"])
async def test_input_comes_back_when_nothing_goes_on_from_the_response(
    socket: ClientConnection, worker: FakeWorker, how: str
) -> None:
    said = [{"type": "message", "role": "user", "content": "Shorter!"}]
    await create(socket, input="Why?", stream_id="left")
    parent = (await worker.claim()).id
    await steer(socket, parent, said)
    accepted = await until(socket, "response.steer.accepted")
    match how:
        case "failed":
            worker.end("failed", error='{"code":"server_error","message":"It broke."}')
        case "cancelled":
            await send(socket, type="response.cancel", response_id=parent)
            await worker.cancelled()
            worker.end("cancelled")
        case "refused":
            worker.refuse()
    last = await end(socket)

    [failed] = await all_until(socket, "response.steer.failed")

    assert last["stream_id"] == "left"
    assert failed["stream_id"] == "left"
    assert failed["steer"] == {
        "id": accepted["steer"]["id"],
        "previous_response_id": parent,
        "input": said,
    }
    assert failed["error"]["code"] == "response_not_active"
    assert worker.queue.claim(1) is None


async def test_a_response_that_ended_or_is_unknown_takes_no_input(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    ended = await answered(socket, worker)
    codes = {}
    for id in (ended, UNKNOWN, "nonsense"):
        await steer(socket, id, "Shorter!")
        failed = await until(socket, "response.steer.failed")
        EVENT.validate_python(failed, strict=True)
        assert failed["steer"] == {"previous_response_id": id, "input": "Shorter!"}
        codes[id] = failed["error"]["code"]

    assert codes == {
        ended: "response_already_completed",
        UNKNOWN: "response_not_found",
        "nonsense": "response_not_found",
    }


async def test_wrong_input_comes_back_as_it_was_sent(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    for said in ([{"role": "system", "content": "No."}], [], [10**30]):
        await steer(socket, parent, said)
        failed = await until(socket, "response.steer.failed")
        assert failed["error"]["code"] == "invalid_input"
        assert failed["steer"]["input"] == said


async def test_a_response_takes_so_much_input_and_no_more(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    for number in range(32):
        await steer(socket, parent, str(number))
        assert (await event(socket))["type"] == "response.steer.accepted"
    await steer(socket, parent, "32")

    assert (await event(socket))["error"]["code"] == "too_many_pending_steers"


async def test_a_steer_needs_a_key_that_may_make_the_successor(
    keyed_http: httpx2.AsyncClient, stored_keys: ApiKeys
) -> None:
    mine, other = [
        (await keyed_http.post("/v1/conversations", json={}, headers=bearer("ann"))).json()["id"]
        for _ in range(2)
    ]

    async def code_for(key: str, **fields: Any) -> str:
        """Steer a response of ann's; return the error's code, or `accepted`."""
        asked = (await ask(keyed_http, "ann", **fields)).json()["id"]
        if key == "response":
            key = (await token_for(keyed_http, response=asked))["value"]
        async with socket_of(keyed_http, key) as socket:
            await steer(socket, asked, "Shorter!")
            answer = await event(socket)
        code: str = answer.get("error", {"code": "accepted"})["code"]
        return code

    token = (await token_for(keyed_http, conversation=mine))["value"]
    limited, _ = await stored_keys.create("ann", tiers=frozenset({"default"}))
    foreign, _ = await stored_keys.create("bob")
    assert await code_for(token, conversation=mine) == "accepted"
    assert await code_for(token, conversation=other) == "token_bound"
    assert await code_for("response") == "token_bound"
    assert await code_for(limited) == "accepted"
    assert await code_for(limited, service_tier="flex") == "service_tier_not_allowed"
    assert await code_for(foreign) == "response_not_found"


async def test_a_response_that_is_being_cancelled_takes_no_input(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    await send(socket, type="response.cancel", response_id=parent)
    await worker.cancelled()
    await steer(socket, parent, "Shorter!")

    failed = await until(socket, "response.steer.failed")

    assert failed["error"]["code"] == "response_not_active"
    assert "id" not in failed["steer"]
