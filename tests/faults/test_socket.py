"""A reader's socket is cut, silent, slow or doubled, and the reader gets the whole answer."""

import asyncio
import json
import socket as sockets
from collections.abc import Callable

import pytest
from redis import Redis
from websockets.asyncio.client import connect

from harness.proxy import Proxy
from harness.reader import ENDS, Event, Reader, event_text
from harness.record import assert_as_stored, fetch
from harness.service import Service
from tests.faults.conftest import QUESTION, Question
from turnstream.turns import keys

SHORT = QUESTION | {"max_output_tokens": 12}
Undisturbed = Callable[[Question], str]


def through(proxy: Proxy, *, silent_seconds: float = 30.0) -> Reader:
    return Reader(f"http://127.0.0.1:{proxy.port}", silent_seconds=silent_seconds)


async def test_a_socket_cut_after_any_frame_of_a_turn_loses_nothing(
    service: Service, proxy: Proxy, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(SHORT)
    whole = Reader(service.url)
    await whole.answer(**SHORT)

    for frames in range(1, len(whole.events)):
        reader = through(proxy)
        await reader.read(until=frames, **SHORT)
        proxy.cut()

        assert await reader.answer() == expected
        assert reader.resumes == 1 or reader.ended
        assert_as_stored(service, reader)


@pytest.mark.parametrize("size", [150, 1500, 4000])
async def test_a_socket_reset_in_the_middle_of_a_frame_loses_nothing(
    service: Service, proxy: Proxy, undisturbed: Undisturbed, size: int
) -> None:
    reader = through(proxy)
    proxy.reset_after = size
    asking = asyncio.create_task(reader.answer(**QUESTION))
    async with asyncio.timeout(30):
        while proxy.connections < 2:
            await asyncio.sleep(0.01)
    proxy.reset_after = None

    assert await asking == undisturbed(QUESTION)
    assert_as_stored(service, reader)


async def test_a_silent_socket_is_closed_and_the_answer_is_resumed(
    service: Service, proxy: Proxy, undisturbed: Undisturbed
) -> None:
    reader = through(proxy, silent_seconds=3.0)
    await reader.read(until="delta", **QUESTION)
    proxy.go_silent()

    assert await reader.answer() == undisturbed(QUESTION)
    assert reader.resumes == 1
    assert_as_stored(service, reader)


async def test_a_slow_connection_delays_and_changes_nothing(
    service: Service, proxy: Proxy, undisturbed: Undisturbed
) -> None:
    proxy.delay = 0.05
    reader = through(proxy)

    assert await reader.answer(**QUESTION) == undisturbed(QUESTION)
    assert reader.resumes == 0
    assert_as_stored(service, reader)


async def test_a_reader_that_stops_reading_gets_everything_when_it_reads_again(
    service: Service, undisturbed: Undisturbed
) -> None:
    # Small buffers, so that most of the answer has to wait on the server's side.
    end = sockets.socket()
    end.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    end.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    url = service.url.replace("http", "ws", 1) + "/v1/responses"
    events: list[Event] = []
    async with connect(url, sock=end, max_queue=1, ping_interval=None) as socket:
        await socket.send(json.dumps({"type": "response.create", **QUESTION}))
        events.append(json.loads(await socket.recv()))
        async with asyncio.timeout(60):
            path = f"/v1/responses/{events[0]['response']['id']}"
            while (await asyncio.to_thread(fetch, service, path))["status"] == "in_progress":
                await asyncio.sleep(0.1)
        while events[-1]["type"] not in ENDS:
            events.append(json.loads(await socket.recv()))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert event_text(events) == undisturbed(QUESTION)


@pytest.mark.long
async def test_a_reader_that_stalls_too_long_is_closed_and_can_resume(
    service: Service, proxy: Proxy, undisturbed: Undisturbed
) -> None:
    reader = through(proxy, silent_seconds=3.0)
    await reader.read(until="delta", **QUESTION)
    proxy.freeze()
    await asyncio.sleep(45)
    proxy.thaw()

    assert await reader.answer() == undisturbed(QUESTION)
    assert_as_stored(service, reader)


async def test_two_devices_read_one_turn_and_one_may_leave(
    service: Service, proxy: Proxy, undisturbed: Undisturbed
) -> None:
    phone, laptop = through(proxy), Reader(service.url)
    await phone.read(until="in_progress", **QUESTION)
    # The second device knows the first event only by its id.
    laptop.events = phone.events[:1]
    await laptop.read(until="delta")
    proxy.cut()
    await asyncio.gather(phone.answer(), laptop.answer())

    assert phone.events == laptop.events
    assert phone.text == undisturbed(QUESTION)
    assert_as_stored(service, laptop)


@pytest.mark.parametrize("how_many", [2, 8])
async def test_one_key_used_on_several_sockets_at_once_creates_one_turn(
    service: Service, redis: Redis, how_many: int
) -> None:
    first = Reader(service.url)
    readers = [
        first,
        *(Reader(service.url, idempotency_key=first.key) for _ in range(how_many - 1)),
    ]
    made = int(redis.get(keys.arrivals()) or 0)
    await asyncio.gather(*(reader.answer(**QUESTION) for reader in readers))

    assert int(redis.get(keys.arrivals()) or 0) == made + 1
    assert all(reader.events == first.events for reader in readers)
    assert_as_stored(service, first)


async def test_a_request_whose_response_was_lost_is_repeated_and_creates_one_turn(
    service: Service, proxy: Proxy, redis: Redis, undisturbed: Undisturbed
) -> None:
    # First, since it may create a turn.
    expected = undisturbed(SHORT)
    made = int(redis.get(keys.arrivals()) or 0)
    reader = through(proxy)
    # The handshake's answer has more than a hundred bytes, the first event over two hundred more.
    proxy.reset_after = 400
    asking = asyncio.create_task(reader.answer(**SHORT))
    async with asyncio.timeout(30):
        while int(redis.get(keys.arrivals()) or 0) == made or proxy.connections < 2:
            await asyncio.sleep(0.01)
    proxy.reset_after = None

    assert await asking == expected
    assert reader.retries >= 2
    assert int(redis.get(keys.arrivals()) or 0) == made + 1
    assert_as_stored(service, reader)
