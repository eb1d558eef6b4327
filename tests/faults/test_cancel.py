"""A turn is cancelled from another socket, over HTTP or at another node."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress

import psutil
import pytest
from redis import Redis
from websockets.asyncio.client import connect

from harness.reader import Reader
from harness.record import assert_as_stored, fetch
from harness.service import Service
from tests.faults.conftest import BACK_SECONDS, until_all_work, worker_names
from turnstream.turns import keys

#: Repeats itself (a negative penalty), so that only its length ends it, seconds later.
ENDLESS = {
    "input": "Write a long story.",
    "temperature": 0,
    "frequency_penalty": -2,
    "max_output_tokens": 1500,
}


async def stop(
    service: Service, workers: Iterable[psutil.Process], response_id: str, way: str
) -> None:
    if way == "another socket":
        async with connect(service.url.replace("http", "ws", 1) + "/v1/responses") as socket:
            await socket.send(json.dumps({"type": "response.cancel", "response_id": response_id}))
            # Answered in order, so the cancel was carried out when this is refused.
            await socket.send(json.dumps({"type": "response.cancel", "response_id": "resp_none"}))
            await socket.recv()
        return
    if way == "the next node":
        # The workers are stopped meanwhile, so that the answer is not over before the node is back.
        for worker in workers:
            worker.suspend()
        try:
            service.child("serve").kill()
            await until_back(service)
        finally:
            for worker in workers:
                worker.resume()
    path = f"/v1/responses/{response_id}/cancel"
    answered = await asyncio.to_thread(fetch, service, path, {})
    assert answered["status"] == "cancelled"


async def until_back(service: Service) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            with suppress(OSError):
                await asyncio.to_thread(fetch, service, "/healthz")
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("way", "until"),
    [("another socket", "delta"), ("HTTP", "in_progress"), ("the next node", "delta")],
)
async def test_a_turn_cancelled_from_another_socket_keeps_its_text(
    service: Service, redis: Redis, reader: Reader, way: str, until: str
) -> None:
    # Looked up before: it takes a while on a busy machine.
    await until_all_work(service, redis)
    workers = list(worker_names(service).values())
    await reader.read(until=until, **ENDLESS)

    await stop(service, workers, reader.id, way)
    await reader.read()

    assert reader.final["type"] == "response.incomplete"
    assert reader.final["response"]["status"] == "cancelled"
    assert_as_stored(service, reader)
    assert redis.zscore(keys.leases(), reader.id) is None
