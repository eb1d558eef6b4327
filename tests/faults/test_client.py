"""`turnstream.client` through faults: each word once, and one turn for each request."""

import asyncio
from collections.abc import Callable

import psutil
import pytest
from redis import Redis

from harness.proxy import Proxy
from harness.reader import text_of
from harness.record import fetch
from harness.service import Service
from tests.faults.conftest import LONG, QUESTION, Question
from turnstream.client import AsyncClient, AsyncTurn, Client, Options
from turnstream.turns import keys

Undisturbed = Callable[[Question], str]
SHORT = QUESTION | {"max_output_tokens": 60}
OTHER = SHORT | {"seed": 8}
IMPATIENT = Options(ping_seconds=1)


def at(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


async def text_of_slices(turn: AsyncTurn) -> str:
    async with asyncio.timeout(60):
        return "".join([text async for text in turn.slices()])


LONG_RUN = pytest.mark.long


@pytest.mark.parametrize(
    "size", [1500, pytest.param(400, marks=LONG_RUN), pytest.param(5000, marks=LONG_RUN)]
)
async def test_a_client_reads_each_word_once_through_sockets_that_are_reset(
    service: Service, proxy: Proxy, undisturbed: Undisturbed, size: int
) -> None:
    proxy.reset_after = size
    async with AsyncClient(at(proxy)) as client:
        turn = await client.create(**SHORT)
        reading = asyncio.create_task(text_of_slices(turn))
        async with asyncio.timeout(30):
            while proxy.connections < 2:
                await asyncio.sleep(0.01)
        # More than the last event has, which is never sent in parts.
        proxy.reset_after = 20_000
        text = await reading

    assert text == undisturbed(SHORT) == turn.text
    assert text_of(fetch(service, f"/v1/responses/{turn.id}")) == text


async def test_turns_on_several_lanes_are_resumed_together(
    proxy: Proxy, undisturbed: Undisturbed
) -> None:
    async with AsyncClient(at(proxy)) as client:
        turns = [await client.create(**SHORT), await client.create(**OTHER)]
        await asyncio.gather(*(turn.wait() for turn in turns))
        proxy.cut()
        texts = await asyncio.gather(*map(text_of_slices, turns))

    assert texts == [undisturbed(SHORT), undisturbed(OTHER)]
    assert proxy.connections == 2


async def test_a_request_whose_answer_was_lost_makes_one_turn(
    proxy: Proxy, redis: Redis, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(SHORT)
    made = int(redis.get(keys.arrivals()) or 0)
    async with AsyncClient(at(proxy)) as client:
        await client.connect()
        proxy.lost_replies = 1
        turn = await client.create(**SHORT)
        text = await text_of_slices(turn)

    assert text == expected
    assert proxy.connections == 2
    assert int(redis.get(keys.arrivals()) or 0) == made + 1


@LONG_RUN
async def test_a_silent_connection_is_replaced(proxy: Proxy, undisturbed: Undisturbed) -> None:
    async with AsyncClient(at(proxy), options=IMPATIENT) as client:
        turn = await client.create(**SHORT)
        await turn.wait()
        proxy.go_silent()

        assert await text_of_slices(turn) == undisturbed(SHORT)


async def test_a_cancel_without_a_connection_reaches_the_turn(
    service: Service, proxy: Proxy
) -> None:
    async with AsyncClient(at(proxy)) as client:
        turn = await client.create(**LONG)
        await turn.wait()
        proxy.refusing = True
        proxy.cut()
        await turn.cancel()
        proxy.refusing = False
        async with asyncio.timeout(60):
            response = await turn.response()

    assert response.status == "cancelled"
    assert fetch(service, f"/v1/responses/{turn.id}")["status"] == "cancelled"


@LONG_RUN
@pytest.mark.parametrize("end", [psutil.Process.terminate, psutil.Process.kill])
async def test_a_turn_is_read_on_after_its_node_was_restarted(
    service: Service, undisturbed: Undisturbed, end: Callable[[psutil.Process], None]
) -> None:
    expected = undisturbed(LONG)
    async with AsyncClient(service.url) as client:
        turn = await client.create(**LONG)
        await turn.wait()
        end(service.child("serve"))

        assert await text_of_slices(turn) == expected


@LONG_RUN
def test_a_client_of_ordinary_code_resumes_too(service: Service, undisturbed: Undisturbed) -> None:
    expected = undisturbed(LONG)
    with Client(service.url) as client:
        turn = client.create(**LONG)
        texts = [next(slices := turn.slices())]
        service.child("serve").kill()
        texts += slices

    assert "".join(texts) == expected
