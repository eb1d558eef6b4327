"""What one socket may ask and in which order it is answered; the worker is played by hand."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.ws_server.clerk import Clerk
from tests.ws_server.conftest import serving
from tests.ws_server.wire_client import Event, code_of, create, end, event, send, until
from turns.turn import Message

UNKNOWN = "resp_" + 32 * "f"
NOT_FOUND = ("previous_response_not_found", 400)


def socket_url(node: str, query: str = "") -> str:
    return node.replace("http", "ws", 1) + "/v1/responses" + query


@pytest.fixture
async def socket(node: str, clerk: Clerk) -> AsyncIterator[ClientConnection]:
    clerk.beat()
    async with connect(socket_url(node)) as socket:
        yield socket


async def answered(socket: ClientConnection, clerk: Clerk, **fields: Any) -> str:
    """Have a turn answered, and give its response's id."""
    await create(socket, **({"input": "One?"} | fields))
    await clerk.claim()
    clerk.say("One.")
    clerk.end()
    response_id: str = (await end(socket))["response"]["id"]
    return response_id


async def test_a_warm_up_is_over_at_once_and_its_words_count_as_said(
    socket: ClientConnection, clerk: Clerk
) -> None:
    await create(socket, input="One?", generate=False, store=False)
    created, completed = await event(socket), await event(socket)
    await create(socket, input="Two?", previous_response_id=completed["response"]["id"])
    claimed = await clerk.claim()

    assert (created["type"], completed["type"]) == ("response.created", "response.completed")
    assert [created["sequence_number"], completed["sequence_number"]] == [0, 1]
    final = Response.model_validate(completed["response"], strict=True)
    assert (final.status, final.output) == ("completed", [])
    assert final.usage is not None
    assert final.usage.total_tokens == 0
    assert [m.text for m in claimed.messages if m.text] == ["One?", "Two?"]


async def test_what_a_warm_up_asked_is_answered_without_asking_again(
    socket: ClientConnection, clerk: Clerk
) -> None:
    await create(socket, input="One?", prompt_cache_options={"prewarm": True})
    first = (await end(socket))["response"]["id"]
    await create(socket, input=[], generate=False, previous_response_id=first)
    second = (await end(socket))["response"]["id"]
    await create(socket, input=[], previous_response_id=second)
    claimed = await clerk.claim()

    assert [m for m in claimed.messages if m.text] == [Message("user", "One?")]


async def test_a_coding_agents_first_two_frames_make_one_question(
    socket: ClientConnection, clerk: Clerk
) -> None:
    # As Codex sends them: all it knows first, then only what is new.
    habits = {
        "instructions": "You are a coding agent.",
        "tools": [
            {"type": "function", "name": "shell", "parameters": {"type": "object"}},
            {"type": "namespace", "name": "mcp"},
            {"type": "web_search"},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread",
        "client_metadata": {"x-codex": "1"},
    }
    context = [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Sandbox."}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "<cwd>/</cwd>"}],
        },
    ]
    await create(socket, **habits, input=context, generate=False)
    warm = (await end(socket))["response"]["id"]
    question = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Fix it."}],
    }
    await create(socket, **habits, input=[question], previous_response_id=warm)
    claimed = await clerk.claim()

    assert [(m.role, m.text) for m in claimed.messages if m.text] == [
        ("system", "Sandbox."),
        ("user", "<cwd>/</cwd>"),
        ("user", "Fix it."),
    ]
    assert claimed.request.instructions == "You are a coding agent."


async def test_an_empty_warm_up_leaves_nothing_to_answer(socket: ClientConnection) -> None:
    await create(socket, input=[], generate=False)
    empty = (await end(socket))["response"]["id"]
    await create(socket, input=[], previous_response_id=empty)

    assert code_of(await end(socket)) == ("invalid_value", 400)


async def test_after_an_answer_something_must_be_asked(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk)
    await create(socket, input=[], previous_response_id=parent)

    assert code_of(await end(socket)) == ("invalid_value", 400)


@pytest.mark.parametrize("generate", [True, False])
async def test_what_is_not_stored_is_gone_on_from_by_its_own_socket_alone(
    socket: ClientConnection, node: str, clerk: Clerk, generate: bool
) -> None:
    if generate:
        parent = await answered(socket, clerk, store=False)
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
        {"input": []},
    ],
)
async def test_a_failed_continuation_makes_its_lane_forget_what_it_went_on_from(
    socket: ClientConnection, clerk: Clerk, bad: Event
) -> None:
    parent = await answered(socket, clerk, store=False)
    await create(socket, **bad, previous_response_id=parent)
    assert (await end(socket))["type"] == "error"
    await create(socket, input="Two?", previous_response_id=parent)

    assert code_of(await end(socket)) == NOT_FOUND


async def test_a_failed_fork_on_another_lane_keeps_what_both_go_on_from(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk, store=False)
    await create(socket, input=7, previous_response_id=parent, stream_id="fork")
    assert (await end(socket))["stream_id"] == "fork"
    await create(socket, input="Two?", previous_response_id=parent, stream_id="fork")

    assert (await event(socket))["type"] == "response.created"


async def test_a_failure_makes_its_lane_forget_nothing_but_what_it_went_on_from(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk, store=False)
    forked = await answered(socket, clerk, store=False, stream_id="fork")
    await create(socket, input=7, previous_response_id=parent, stream_id="fork")
    await end(socket)
    await create(socket, input="Two?", previous_response_id=forked, stream_id="fork")

    assert (await event(socket))["type"] == "response.created"


async def test_only_the_latest_of_a_lane_is_remembered(
    socket: ClientConnection, clerk: Clerk
) -> None:
    older = await answered(socket, clerk, store=False)
    await answered(socket, clerk, store=False, previous_response_id=older)
    await create(socket, input="Three?", previous_response_id=older)

    assert code_of(await end(socket)) == NOT_FOUND


async def test_what_is_stored_is_found_again_after_a_failed_continuation(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk)
    await create(socket, input=7, previous_response_id=parent)
    await end(socket)
    await create(socket, input="Two?", previous_response_id=parent)

    assert (await event(socket))["type"] == "response.created"


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
async def test_what_cannot_be_stopped_is_said_after_what_runs_on_the_lane(
    socket: ClientConnection, clerk: Clerk, which: str
) -> None:
    ended = await answered(socket, clerk)
    await create(socket, input="Two?")
    await clerk.claim()
    await until(socket, "response.in_progress")
    await send(socket, type="response.cancel", response_id=ended if which == "ended" else UNKNOWN)
    clerk.say("Two.")
    assert (await until(socket, "response.output_text.delta", "error"))["type"] != "error"
    clerk.end()

    assert (await end(socket))["type"] == "response.completed"
    assert code_of(await end(socket)) == ("response_not_active", 400)


async def test_stop_with_nothing_running_is_refused(socket: ClientConnection) -> None:
    await send(socket, type="response.cancel")

    assert code_of(await event(socket)) == ("response_not_active", 400)


async def test_a_steer_is_refused_at_once_and_its_words_are_given_back(
    socket: ClientConnection, clerk: Clerk
) -> None:
    await create(socket, input="One?", stream_id="left")
    running = (await event(socket))["response"]["id"]
    said = [{"type": "message", "role": "user", "content": "Shorter!"}]
    await send(socket, type="response.steer", previous_response_id=running, input=said)

    failed = await until(socket, "response.steer.failed")

    TypeAdapter(ResponsesServerEvent).validate_python(failed, strict=True)
    assert failed["steer"] == {"previous_response_id": running, "input": said}
    assert failed["error"]["code"] == "steering_not_supported"
    assert failed["stream_id"] == "left"


async def test_sixteen_turns_are_in_flight_and_the_next_waits_for_one_to_end(
    socket: ClientConnection, clerk: Clerk
) -> None:
    for lane in range(17):
        await create(socket, input=f"Lane {lane}?", stream_id=f"lane-{lane}")
    begun = {(await until(socket, "response.created"))["stream_id"] for _ in range(16)}
    await clerk.claim()
    clerk.say("Done.")
    clerk.end()
    seen = [await event(socket)]
    while seen[-1]["type"] != "response.created":
        seen.append(await event(socket))

    assert "response.completed" in [one["type"] for one in seen]
    assert begun | {seen[-1]["stream_id"]} == {f"lane-{lane}" for lane in range(17)}


async def test_the_thirty_third_lane_is_refused_by_its_name_and_the_others_go_on(
    socket: ClientConnection,
) -> None:
    for lane in range(33):
        await send(socket, type="response.cancel", stream_id=f"lane-{lane}")
    refusals = [await event(socket) for _ in range(33)]

    by_code = {code_of(one)[0]: one for one in refusals}
    assert by_code["websocket_stream_limit_reached"]["stream_id"] == "lane-32"
    assert [code_of(one)[0] for one in refusals].count("response_not_active") == 32
    # The default lane is not one of them.
    await create(socket, input="One?")
    assert (await event(socket))["type"] == "response.created"


async def test_a_connection_that_lasted_long_enough_is_told_so_and_closed(
    redis_url: str, clerk: Clerk, tmp_path: Path
) -> None:
    clerk.beat()
    with serving(redis_url, tmp_path, TURNSTREAM_SOCKET_SECONDS="1") as url:
        async with connect(socket_url(url)) as socket:
            await create(socket, input="One?")

            last = await end(socket)

            assert code_of(last) == ("websocket_connection_limit_reached", 400)
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert socket.close_code == 1001
        assert "Traceback" not in (tmp_path / "serve.log").read_text()


async def test_a_refused_handshake_is_an_http_answer_and_no_alarm(
    redis_url: str, clerk: Clerk, tmp_path: Path
) -> None:
    keys = "ann:" + hashlib.sha256(b"let-me-in").hexdigest()
    with serving(redis_url, tmp_path, TURNSTREAM_API_KEYS=keys) as url:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(socket_url(url), additional_headers=headers):
                    pass
            response = refused.value.response
            body = json.loads(response.body or b"")
            assert (response.status_code, body["error"]["code"]) == (401, "invalid_api_key")
            assert response.headers["x-request-id"].startswith("req_")
        async with connect(
            socket_url(url), additional_headers={"Authorization": "Bearer let-me-in"}
        ):
            pass
    assert "ERROR" not in (tmp_path / "serve.log").read_text()


async def test_a_message_that_is_far_too_large_ends_the_socket(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):  # it is cut off before it has said all
        await socket.send("x" * (4 * 1024 * 1024 + 1))
    async with asyncio.timeout(20):
        await socket.wait_closed()

    assert socket.close_code == 1009


async def test_who_asks_on_and_on_without_waiting_is_cut_off(socket: ClientConnection) -> None:
    # One runs, 32 wait, 32 refusals wait behind them.
    with suppress(ConnectionClosed):
        for _ in range(70):
            await create(socket, input="And this?")
    async with asyncio.timeout(20):
        await socket.wait_closed()

    assert socket.close_code == 1008


async def test_the_background_is_for_http(socket: ClientConnection) -> None:
    await create(socket, input="One?", background=True)

    refusal = await event(socket)

    assert code_of(refusal) == ("unsupported_parameter", 400)
    assert refusal["error"]["param"] == "background"


async def test_the_handshake_may_name_the_model(node: str, clerk: Clerk) -> None:
    async with connect(socket_url(node, "?model=nobody")) as socket:
        await create(socket, input="One?")
        assert code_of(await event(socket)) == ("model_not_found", 404)
        await create(socket, input="One?", model="tiny")
        assert (await event(socket))["response"]["model"] == "tiny"


async def test_a_stored_answer_may_be_named_instead_of_repeated(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk)
    await create(
        socket,
        input=[
            {"role": "user", "content": "One?"},
            {"type": "item_reference", "id": parent.replace("resp_", "msg_")},
            {"role": "user", "content": "Two?"},
        ],
    )

    claimed = await clerk.claim()

    assert [message.text for message in claimed.messages] == ["One?", "One.", "Two?"]


async def test_an_answer_that_is_not_stored_cannot_be_named(
    socket: ClientConnection, clerk: Clerk
) -> None:
    parent = await answered(socket, clerk, store=False)
    named = {"type": "item_reference", "id": parent.replace("resp_", "msg_")}
    question = {"role": "user", "content": "Two?"}
    await create(socket, input=[question, named, question])
    refusal = await end(socket)

    assert code_of(refusal) == ("item_not_found", 400)
    assert refusal["error"]["param"] == "input[1].id"
