"""What a client does with refusals and with a server that closes, told by a scripted server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Request, Response, ServerConnection, serve

from turnstream.client import AsyncClient, Client, Options, RequestRefused, Unreachable
from turnstream.client.address import Address

Handler = Callable[[ServerConnection], Awaitable[None]]
ID = "resp_1"


@asynccontextmanager
async def server(handler: Handler, **options: object) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as listening:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def say(socket: ServerConnection, **event: object) -> None:
    await socket.send(json.dumps({"stream_id": "lane-0", **event}))


async def answer(socket: ServerConnection) -> None:
    response = {"id": ID, "status": "completed", "output": []}
    await say(socket, type="response.created", sequence_number=0, response=response)
    await say(socket, type="response.completed", sequence_number=1, response=response)


def overloaded(retry_after: str) -> dict[str, object]:
    return {
        "type": "error",
        "status": 503,
        "sequence_number": 0,
        "error": {"code": "overloaded", "message": "The queue is full."},
        "headers": {"retry-after": retry_after},
    }


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


async def test_a_steer_is_sent_again_on_the_next_socket_and_its_successor_is_read() -> None:
    steers: list[dict[str, str]] = []
    kinds: list[str] = []
    end = {"id": ID, "status": "incomplete", "output": [], "incomplete_details": {}}
    end["steering"] = {"outcome": "continued", "response_id": "resp_2"}
    next_one = {"id": "resp_2", "status": "completed", "output": []}

    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            kinds.append(frame["type"])
            match frame["type"]:
                case "response.create":
                    response = {"id": ID, "status": "in_progress", "output": []}
                    await say(socket, type="response.created", sequence_number=0, response=response)
                case "response.steer":
                    steers.append(frame)
                    if len(steers) == 1:
                        await socket.close()
                        return
                    taken = {"id": "steer_1", "idempotency_key": frame["idempotency_key"]}
                    # Of another device, and of nobody's.
                    await say(
                        socket, type="response.steer.accepted", sequence_number=0, steer={"id": "x"}
                    )
                    await say(
                        socket, type="response.steer.accepted", sequence_number=0, steer=taken
                    )
                    await say(socket, type="response.incomplete", sequence_number=1, response=end)
                    await socket.close()
                case "turnstream:response.resume" if frame["response_id"] == "resp_2":
                    await say(socket, type="response.created", sequence_number=0, response=next_one)
                    await say(
                        socket, type="response.completed", sequence_number=1, response=next_one
                    )

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        turn = await client.create(input="Hello")
        id = await turn.steer("Shorter!")
        first = await turn.response()
        assert turn.successor is not None
        second = await turn.successor.response()

    assert id == "steer_1"
    assert steers[0] == steers[1]
    assert steers[0]["previous_response_id"] == ID
    assert (first.id, first.steering, first.successor_id) == (ID, "continued", "resp_2")
    assert second.id == "resp_2"
    assert kinds.count("response.create") == 1


async def test_a_refused_steer_is_raised_and_its_turn_goes_on() -> None:
    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "response.create":
                response = {"id": ID, "status": "in_progress", "output": []}
                await say(socket, type="response.created", sequence_number=0, response=response)
                continue
            key = {"idempotency_key": frame["idempotency_key"]}
            error = {"code": "invalid_input", "message": "It is empty."}
            await say(
                socket, type="response.steer.failed", sequence_number=0, steer=key, error=error
            )
            response = {"id": ID, "status": "completed", "output": []}
            await say(socket, type="response.completed", sequence_number=1, response=response)

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        turn = await client.create(input="Hello")
        with pytest.raises(RequestRefused, match="empty") as refused:
            await turn.steer("")
        response = await turn.response()

    assert refused.value.code == "invalid_input"
    assert (response.status, turn.successor) == ("completed", None)


async def test_a_feed_goes_on_after_its_last_entry_and_ends_when_what_it_is_about_is_gone() -> None:
    frames: list[dict[str, object]] = []

    async def handle(socket: ServerConnection) -> None:
        frames.append(frame := json.loads(await socket.recv()))
        if len(frames) == 3:
            error = {"code": "conversation_not_found", "message": "It is not there."}
            gone = {"type": "error", "status": 404, "sequence_number": 0, "error": error}
            await socket.send(json.dumps({**gone, "stream_id": frame["stream_id"]}))
            await socket.wait_closed()
        about = {"conversation": "conv_1", "stream_id": frame["stream_id"]}
        followed = {"type": "turnstream:conversation.followed", "newest": 1, **about}
        await socket.send(json.dumps(followed))
        for number in range(len(frames)):
            entry = {"type": "turnstream:conversation.opened", "sequence_number": number}
            await socket.send(json.dumps({**entry, **about}))

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        feed = await client.follow("conv_1")
        entries = [(entry.sequence_number, entry.type) async for entry in feed.entries()]

    assert entries == [(0, "opened"), (1, "opened"), (2, "deleted")]
    assert [frame["starting_after"] for frame in frames] == [-1, 0, 1]


async def test_a_feed_that_cannot_be_followed_says_so_and_a_closed_one_ends() -> None:
    frames: list[dict[str, str]] = []

    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            frames.append(frame := json.loads(text))
            if frame.get("conversation") == "conv_1":
                error = {"code": "stream_expired", "message": "It is not kept."}
                answer = {"type": "error", "status": 400, "sequence_number": 0, "error": error}
                await socket.send(json.dumps({**answer, "stream_id": frame["stream_id"]}))

    def read(url: str) -> None:
        with Client(url) as client:
            with pytest.raises(RequestRefused, match="not kept"):
                list(client.follow("conv_1", starting_after=9).entries())
            feed = client.follow("conv_2")
            feed.close()
            assert list(feed.entries()) == []
            client.connect()

    async with asyncio.timeout(20), server(handle) as url:
        await asyncio.to_thread(read, url)

    assert [frame["type"].rpartition(".")[2] for frame in frames][:1] == ["follow"]
