"""What one socket may ask, and when it is refused or closed; the test plays the worker."""

import asyncio
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
from openai.types.responses.responses_server_event import ResponseWsError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.ws_server.conftest import serving
from tests.ws_server.fake_worker import FakeWorker
from tests.ws_server.wire_client import code_of, create, end, event, send, socket_url, until
from turnstream.ws_server.serve import TOO_LARGE_FACTOR
from turnstream.ws_server.settings import BODY_BYTES


async def test_sixteen_turns_are_in_flight_and_the_next_waits_for_one_to_end(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    for lane in range(17):
        await create(socket, input=f"Lane {lane}?", stream_id=f"lane-{lane}")
    begun = {(await until(socket, "response.created"))["stream_id"] for _ in range(16)}
    await worker.claim()
    worker.say("Done.")
    worker.end()
    seen = [await event(socket)]
    while seen[-1]["type"] != "response.created":
        seen.append(await event(socket))

    assert "response.completed" in [one["type"] for one in seen]
    assert begun | {seen[-1]["stream_id"]} == {f"lane-{lane}" for lane in range(17)}


async def test_the_thirty_third_lane_is_refused_with_its_stream_id_and_the_others_continue(
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


async def test_a_connection_at_its_time_limit_gets_an_error_and_is_closed(
    redis_url: str, worker: FakeWorker, tmp_path: Path
) -> None:
    worker.heartbeat()
    with serving(redis_url, tmp_path, TURNSTREAM_SOCKET_SECONDS="2") as url:
        async with connect(socket_url(url)) as socket:
            await create(socket, input="One?")

            last = await end(socket)

            assert code_of(last) == ("websocket_connection_limit_reached", 400)
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert socket.close_code == 1001
        assert "Traceback" not in (tmp_path / "serve.log").read_text()


async def test_a_refused_handshake_is_an_http_response_and_logs_no_error(
    redis_url: str, worker: FakeWorker, tmp_path: Path
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
    with suppress(ConnectionClosed):  # it is closed before everything was sent
        await socket.send("x" * (TOO_LARGE_FACTOR * BODY_BYTES + 1))
    async with asyncio.timeout(20):
        await socket.wait_closed()

    assert socket.close_code == 1009


async def test_a_client_that_sends_too_many_requests_is_closed(socket: ClientConnection) -> None:
    # One runs, 32 wait, 32 refusals wait behind them.
    with suppress(ConnectionClosed):
        for _ in range(70):
            await create(socket, input="And this?")
    async with asyncio.timeout(20):
        await socket.wait_closed()

    assert socket.close_code == 1008


async def test_background_turns_are_refused_on_the_socket(socket: ClientConnection) -> None:
    await create(socket, input="One?", background=True)

    refusal = await event(socket)

    assert code_of(refusal) == ("unsupported_parameter", 400)
    assert refusal["error"]["param"] == "background"


async def test_only_an_error_that_ends_a_turn_has_another_number_than_0(
    socket: ClientConnection, worker: FakeWorker
) -> None:
    await create(socket, input="One?")
    await worker.claim()
    # Refused out of order, while the turn is answered.
    await send(socket, type="response.cancel", response_id="resp_" + 32 * "1", stream_id="a")
    ended_late = await end(socket)
    worker.refuse()
    ended_turn = await end(socket)
    await send(socket, type="nonsense")
    unknown = await end(socket)
    await create(socket, input="Two?", previous_response_id="resp_" + 32 * "1")
    lost_parent = await end(socket)

    errors = (ended_late, ended_turn, unknown, lost_parent)
    assert [error["sequence_number"] for error in errors] == [0, 3, 0, 0]
    for error in errors:
        ResponseWsError.model_validate(error, strict=True)


async def test_the_handshake_may_name_the_model(node: str, worker: FakeWorker) -> None:
    async with connect(socket_url(node, "?model=nobody")) as socket:
        await create(socket, input="One?")
        assert code_of(await event(socket)) == ("model_not_found", 404)
        await create(socket, input="One?", model="tiny")
        assert (await event(socket))["response"]["model"] == "tiny"
