"""What a client does with refusals and with a server that closes, told by a scripted server."""

import asyncio
import json
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection

from tests.client.scripted_server import answer, overloaded, say, server
from turnstream.client import AsyncClient, Options, RequestRefused, Unreachable
from turnstream.client.address import Address


async def test_a_refusal_that_asks_to_retry_is_retried_with_the_same_key() -> None:
    frames: list[dict[str, dict[str, str]]] = []

    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            frames.append(json.loads(text))
            await (answer(socket) if len(frames) > 1 else say(socket, **overloaded("0.01")))

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        response = await (await client.create(input="Hello")).response()

    assert response.status == "completed"
    assert len(frames) == 2
    assert frames[0] == frames[1]
    assert frames[0]["response"]["idempotency_key"]


async def test_a_refusal_that_asks_to_retry_too_late_is_raised() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.recv()
        await say(socket, **overloaded("7"))
        await socket.wait_closed()

    options = Options(retry_seconds=5)
    async with (
        asyncio.timeout(20),
        server(handle) as url,
        AsyncClient(url, options=options) as client,
    ):
        turn = await client.create(input="Hello")
        with pytest.raises(RequestRefused, match="full") as refused:
            await turn.response()

    assert (refused.value.code, refused.value.retry_after) == ("overloaded", 7)


async def test_after_a_drain_the_client_returns_when_it_is_asked_to() -> None:
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def handle(socket: ServerConnection) -> None:
        times.append(loop.time())
        await socket.recv()
        if len(times) == 1:
            notice = {"type": "turnstream:server.draining", "retry_after_ms": 700}
            await socket.send(json.dumps(notice))
            await socket.close(1012)
        else:
            await answer(socket)
            await socket.wait_closed()

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        await (await client.create(input="Hello")).response()

    assert times[1] - times[0] > 0.6


async def test_a_refused_handshake_is_an_error_with_its_code() -> None:
    def refuse(socket: ServerConnection, request: Request) -> Response:
        body = {"error": {"code": "invalid_api_key", "message": "The key is unknown."}}
        return socket.respond(HTTPStatus.UNAUTHORIZED, json.dumps(body))

    async with (
        asyncio.timeout(20),
        server(answer, process_request=refuse) as url,
        AsyncClient(url) as client,
    ):
        turn = await client.create(input="Hello")
        with pytest.raises(RequestRefused, match="key is unknown") as refused:
            await turn.response()

    assert (refused.value.code, refused.value.status) == ("invalid_api_key", 401)


async def test_a_server_that_is_not_there_is_said_in_words_when_the_time_is_over() -> None:
    client = AsyncClient("http://127.0.0.1:1", options=Options(retry_seconds=0))
    async with asyncio.timeout(20), client:
        with pytest.raises(
            Unreachable, match=r"^cannot connect to http://127\.0\.0\.1:1: Connection refused$"
        ):
            await client.connect()


async def test_an_idle_client_does_not_reconnect() -> None:
    opened = 0
    closed = asyncio.Event()

    async def handle(socket: ServerConnection) -> None:
        nonlocal opened
        opened += 1
        await socket.recv()
        await answer(socket)
        await socket.close()
        closed.set()

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        await (await client.create(input="Hello")).response()
        await closed.wait()
        while client.connected:
            await asyncio.sleep(0)
        assert opened == 1
        await (await client.create(input="Hello")).response()

    assert opened == 2


@pytest.mark.parametrize("input", [{"a": object()}, "\ud800"])
async def test_a_body_that_is_no_json_is_refused_before_it_takes_a_lane(input: object) -> None:
    async def handle(socket: ServerConnection) -> None:
        async for _ in socket:
            await answer(socket)

    async with (
        asyncio.timeout(20),
        server(handle) as url,
        AsyncClient(url, options=Options(turns=1)) as client,
    ):
        with pytest.raises((TypeError, ValueError)):
            await client.create(input=input)  # type: ignore[typeddict-item]
        assert (await (await client.create(input="Hello")).response()).status == "completed"


async def test_many_clients_share_a_loop() -> None:
    async def handle(socket: ServerConnection) -> None:
        async for _ in socket:
            await answer(socket)

    async def ask(client: AsyncClient) -> str:
        async with client:
            return (await (await client.create(input="Hello")).response()).status

    async with asyncio.timeout(60), server(handle, backlog=512) as url:
        statuses = await asyncio.gather(*(ask(AsyncClient(url)) for _ in range(200)))

    assert statuses == ["completed"] * 200


@pytest.mark.parametrize(
    ("url", "socket_url", "http_url"),
    [
        ("http://host:8000", "ws://host:8000/v1/responses", "http://host:8000"),
        ("https://host/v1/", "wss://host/v1/responses", "https://host"),
        ("ws://host/chat", "ws://host/chat/v1/responses", "http://host/chat"),
    ],
)
def test_the_addresses_follow_from_that_of_the_server(
    url: str, socket_url: str, http_url: str
) -> None:
    assert (Address(url).socket, Address(url).http) == (socket_url, http_url)


@pytest.mark.parametrize("url", ["", "127.0.0.1", "ftp://host", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http"):
        AsyncClient(url)
