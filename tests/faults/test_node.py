"""A node is terminated or killed, and its turns continue without it."""

import asyncio
import json
from collections.abc import Callable

import pytest
from redis import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from harness.reader import Reader
from harness.record import assert_as_stored
from harness.service import Service
from tests.faults.conftest import LONG, Question
from turnstream.turns import keys

Undisturbed = Callable[[Question], str]


async def test_a_terminated_node_announces_draining_then_closes_with_1012(service: Service) -> None:
    async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
        service.child("serve").terminate()
        async with asyncio.timeout(30):
            notice = json.loads(await socket.recv())
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None

    assert notice["type"] == "turnstream:server.draining"
    assert 0 <= notice["retry_after_ms"] < 2000
    assert code == 1012


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_turns_continue_while_their_node_is_down_and_its_readers_resume_at_another(
    service: Service, redis: Redis, undisturbed: Undisturbed, end: str
) -> None:
    expected = undisturbed(LONG)
    made = int(redis.get(keys.arrivals()) or 0)
    readers = [Reader(service.url) for _ in range(4)]
    serve = service.child("serve")
    await asyncio.gather(*(reader.read(until="delta", **LONG) for reader in readers))
    getattr(serve, end)()
    late = Reader(service.url)
    await asyncio.gather(late.answer(**LONG), *(reader.read() for reader in readers))

    for reader in [*readers, late]:
        assert reader.text == expected
        assert redis.hget(keys.turn(reader.id), "attempt") == "1"
        assert_as_stored(service, reader)
    if end == "kill":  # a terminated node may have sent every end before it closed the sockets
        assert any(reader.resumes > 0 for reader in readers)
    assert int(redis.get(keys.arrivals()) or 0) == made + 5
