"""What a client does to steer a turn and to follow a conversation, told by a scripted server."""

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection

from tests.client.scripted_server import ID, say, server
from turnstream.client import AsyncClient, Client, RequestRefused


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
            cursor = {"cursor": "1-77"} if number == 1 else {}
            await socket.send(json.dumps({**entry, **cursor, **about}))

    async with asyncio.timeout(20), server(handle) as url, AsyncClient(url) as client:
        feed = await client.follow("conv_1")
        entries = [(entry.sequence_number, entry.type) async for entry in feed.entries()]

    assert entries == [(0, "opened"), (1, "opened"), (2, "deleted")]
    assert (feed.sequence_number, feed.cursor) == (2, 2)
    # An entry of an earlier release has no cursor.
    assert [frame["starting_after"] for frame in frames] == [-1, 0, "1-77"]


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
                list(client.follow("conv_1", starting_after="9-77").entries())
            feed = client.follow("conv_2")
            feed.close()
            assert list(feed.entries()) == []
            client.connect()

    async with asyncio.timeout(20), server(handle) as url:
        await asyncio.to_thread(read, url)

    assert (frames[0]["type"], frames[0]["starting_after"]) == (
        "turnstream:conversation.follow",
        "9-77",
    )
