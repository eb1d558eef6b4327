"""Input for a running response reaches its successor once, in order, or comes back."""

from typing import Any

import httpx2
import pytest
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.keyed_client import ask, bearer, socket_of, token_for
from tests.ws_server.wire_client import (
    Event,
    answered,
    code_of,
    create,
    end,
    event,
    send,
    socket_url,
    until,
)
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.turn import FunctionCallOutput, Message

UNKNOWN = "resp_" + 32 * "f"
_EVENT = TypeAdapter(ResponsesServerEvent)
TOOL = {
    "type": "function",
    "name": "clock",
    "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict": True,
}


async def steer(socket: ClientConnection, response_id: str, input: Any, **fields: Any) -> None:
    await send(
        socket, type="response.steer", previous_response_id=response_id, input=input, **fields
    )


async def running(socket: ClientConnection, worker: FakeWorker, **fields: Any) -> str:
    """Ask for a response, and write its beginning."""
    await create(socket, **({"input": "Why?"} | fields))
    claimed = await worker.claim()
    worker.say("Because")
    await until(socket, "response.output_text.delta")
    return claimed.id


async def all_until(socket: ClientConnection, type: str) -> list[Event]:
    """Read events to one of this type; each is one that the official SDK knows."""
    read: list[Event] = []
    while not read or read[-1]["type"] != type:
        read.append(await event(socket))
        _EVENT.validate_python(read[-1], strict=True)
    return read


def types_of(read: list[Event]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in read]


async def test_a_running_response_ends_as_steered_and_its_successor_follows_on_its_lane(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    settings = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "max_output_tokens": 7,
        "seed": 3,
        "service_tier": "flex",
        "store": False,
        "tools": [TOOL],
    }
    parent = await running(socket, worker, stream_id="left", **settings)
    first = worker.claimed
    await steer(socket, parent, "Shorter!")

    [accepted] = await all_until(socket, "response.steer.accepted")
    await worker.steered()
    read = await all_until(socket, "response.created")
    claimed = await worker.claim()
    worker.say("So.")
    worker.end()
    last = await end(socket)

    assert accepted["steer"]["id"].startswith("steer_")
    assert {each["stream_id"] for each in (accepted, *read, last)} == {"left"}
    ended, created = read[-2]["response"], read[-1]["response"]
    assert types_of(read)[-2:] == ["incomplete", "created"]
    assert ended["incomplete_details"] == {"reason": "steered"}
    assert ended["steering"] == {"outcome": "continued", "response_id": created["id"]}
    assert claimed.id == created["id"] == last["response"]["id"]
    assert created["previous_response_id"] == parent
    assert created["output"] == []
    for name in (*settings.keys() - {"seed"}, "tool_choice", "truncation", "model"):
        assert created[name] == ended[name], name
    assert first is not None
    assert claimed.request == first.request
    assert claimed.messages == (
        Message("user", "Why?"),
        Message("assistant", "Because"),
        Message("user", "Shorter!"),
    )


async def test_a_response_that_waits_ends_at_once_and_its_successor_takes_its_place(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    await create(socket, input="Why?", stream_id="left")
    waiting = (await event(socket))["response"]["id"]
    await create(socket, input="Later?", stream_id="right")
    while (await event(socket)).get("stream_id") != "right":
        pass
    await steer(socket, waiting, [{"role": "user", "content": "How?"}])

    read = await all_until(socket, "response.created")

    assert read[-1]["stream_id"] == "left"
    left = [each["type"] for each in read if each["stream_id"] == "left"]
    assert left[-3:] == ["response.steer.accepted", "response.incomplete", "response.created"]
    claimed = await worker.claim()
    assert claimed.id == read[-1]["response"]["id"]
    assert claimed.messages == (Message("user", "Why?"), Message("user", "How?"))


async def test_a_response_that_ends_by_itself_has_a_successor_as_well(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    await steer(socket, parent, "And then?")
    await until(socket, "response.steer.accepted")
    worker.end()

    read = await all_until(socket, "response.created")

    assert types_of(read)[-2:] == ["completed", "created"]
    assert (await worker.claim()).messages[1:] == (
        Message("assistant", "Because"),
        Message("user", "And then?"),
    )


async def test_several_steers_make_one_successor_in_their_order(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    for number in range(3):
        await steer(socket, parent, f"Number {number}.")
    ids = [(await until(socket, "response.steer.accepted"))["steer"]["id"] for _ in range(3)]
    await worker.steered()
    await until(socket, "response.created")

    claimed = await worker.claim()

    assert len(set(ids)) == 3
    assert [item.text for item in claimed.messages[2:] if isinstance(item, Message)] == [
        "Number 0.",
        "Number 1.",
        "Number 2.",
    ]
    assert worker.queue.claim(1) is None


@pytest.mark.parametrize("key", [None, "k1"])
async def test_what_is_sent_again_is_the_same_steer_before_and_after_the_end(
    socket: ClientConnection, worker: FakeWorker, key: str | None
) -> None:
    fields = {} if key is None else {"idempotency_key": key}
    parent = await running(socket, worker)
    await steer(socket, parent, "Shorter!", **fields)
    first = await until(socket, "response.steer.accepted")
    await steer(socket, parent, "Shorter!", **fields)
    again = await until(socket, "response.steer.accepted")
    await worker.steered()
    await until(socket, "response.created")
    await steer(socket, parent, "Shorter!", **fields)
    late = await until(socket, "response.steer.accepted")

    assert first["steer"] == again["steer"] == late["steer"]
    assert len((await worker.claim()).messages) == 3
    assert worker.queue.claim(1) is None


async def test_another_key_makes_another_steer_of_the_same_text(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    parent = await running(socket, worker)
    for key in ("k1", "k2"):
        await steer(socket, parent, "Shorter!", idempotency_key=key)
        await until(socket, "response.steer.accepted")
    await worker.steered()
    await until(socket, "response.created")

    assert (await worker.claim()).messages[2:] == 2 * (Message("user", "Shorter!"),)


async def test_input_waits_while_a_call_of_a_tool_waits_for_its_output(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    await create(socket, input="What time is it?", tools=[TOOL])
    parent = (await worker.claim()).id
    for said in ("In Rome.", "Please."):
        await steer(socket, parent, said)
        await until(socket, "response.steer.accepted")
    worker.call(("clock", "{}"))

    ended = await until(socket, "response.completed")
    pending = [await event(socket) for _ in range(2)]
    call = ended["response"]["output"][0]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "12"}
    await create(socket, input=[output], previous_response_id=parent, instructions="Own.")
    created = await until(socket, "response.created")
    claimed = await worker.claim()

    assert ended["response"]["steering"] == {"outcome": "pending"}
    for each in pending:
        _EVENT.validate_python(each, strict=True)
        assert each["type"] == "response.steer.pending"
        assert each["required_input"] == [
            {"type": "function_call_output", "call_id": call["call_id"], "name": "clock"}
        ]
    assert claimed.id == created["response"]["id"]
    assert claimed.request.instructions == "Own."
    assert claimed.messages[2:] == (
        Message("user", "In Rome."),
        Message("user", "Please."),
        FunctionCallOutput(call_id=call["call_id"], output="12"),
    )
    # They were taken: a second continuation does not have them.
    await create(socket, input=[output], previous_response_id=parent, stream_id="other")
    assert len((await worker.claim()).messages) == 3


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
        _EVENT.validate_python(failed, strict=True)
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


async def test_a_client_that_lost_its_socket_finds_the_successor_through_the_parent(
    socket: ClientConnection, worker: FakeWorker, node: str
) -> None:
    parent = await running(socket, worker)
    await steer(socket, parent, "Shorter!")
    await until(socket, "response.steer.accepted")
    await socket.close()
    await worker.steered()
    await worker.claim()
    worker.say("So.")
    worker.end()

    async with connect_socket(socket_url(node)) as other:
        resume = {"type": "turnstream:response.resume", "response_id": parent}
        await send(other, **resume, starting_after=5)
        first, second = await end(other), await end(other)

    assert first["response"]["id"] == parent
    assert first["response"]["steering"]["response_id"] == second["response"]["id"]
    assert second["response"]["output"][0]["content"][0]["text"] == "So."


async def test_another_device_steers_what_it_does_not_follow(
    socket: ClientConnection, worker: FakeWorker, node: str
) -> None:
    parent = await running(socket, worker, stream_id="left")
    async with connect_socket(socket_url(node)) as other:
        await steer(other, parent, "Shorter!", stream_id="mine")
        accepted = await event(other)
    await worker.steered()
    read = await all_until(socket, "response.created")

    assert (accepted["type"], accepted["stream_id"]) == ("response.steer.accepted", "mine")
    assert (read[-1]["stream_id"], read[-1]["response"]["previous_response_id"]) == ("left", parent)


async def test_a_turn_of_a_conversation_is_steered_within_it(
    socket: ClientConnection, worker: FakeWorker, node: str
) -> None:
    async with httpx2.AsyncClient(base_url=f"{node}/v1", verify=False) as http:
        conversation = (await http.post("/conversations", json={})).json()["id"]
        parent = await running(socket, worker, conversation=conversation)
        await steer(socket, parent, "Shorter!")
        await worker.steered()
        created = await until(socket, "response.created")
        claimed = await worker.claim()
        worker.say("So.")
        worker.end()
        await end(socket)
        listed = (await http.get(f"/conversations/{conversation}/items?order=asc")).json()["data"]

    assert created["response"]["conversation"] == {"id": conversation}
    assert created["response"]["previous_response_id"] is None
    assert len(claimed.messages) == 3
    said = [item["content"][0]["text"] for item in listed]
    assert said == ["Why?", "Because", "Shorter!", "So."]


async def test_stop_reaches_the_successor(socket: ClientConnection, worker: FakeWorker) -> None:
    parent = await running(socket, worker)
    await steer(socket, parent, "Shorter!")
    await worker.steered()
    await until(socket, "response.created")
    await send(socket, type="response.cancel")

    last = await end(socket)

    assert last["response"]["status"] == "cancelled"
    assert last["response"]["previous_response_id"] == parent
    await send(socket, type="response.cancel")
    assert code_of(await event(socket)) == ("response_not_active", 400)


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
