"""One service for all fault tests: two workers, float32, short leases.

What a test breaks restarts by itself; the next test waits until it has.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from harness.proxy import Proxy
from harness.reader import Reader, text_of
from harness.record import fetch
from harness.service import ROOT, Service
from tests.effort import examples
from turnstream.turns import keys

SABOTEUR = Path(__file__).parent / "saboteur"
#: A worker that was killed again and again is started again within half a minute.
BACK_SECONDS = 90.0
#: The seed fixes the draws, and the penalties depend on all earlier tokens: another attempt must
#: draw and count the same. With any seed the demo model answers with some hundred tokens, for most
#: of a second, so that a fault comes in the middle.
QUESTION = {
    "input": "Write a long story.",
    "temperature": 1,
    "seed": 7,
    "frequency_penalty": 0.2,
    "presence_penalty": 0.2,
    "max_output_tokens": examples(160, 300),
}
#: With all examples it takes a second or more; uncut, the answer has 645 tokens.
LONG = QUESTION | {"max_output_tokens": examples(160, 1500)}

Question = dict[str, Any]


@pytest.fixture(scope="session")
def faults_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environ = {
        "TURNSTREAM_DTYPE": "float32",
        # Tests wait for the end of a lease; but a busy machine may delay heartbeats, too.
        "TURNSTREAM_LEASE_SECONDS": "3",
        # Running turns are requeued at once, not finished first.
        "TURNSTREAM_DRAIN_SECONDS": "0",
        # A test may cost a turn several attempts, since its workers are killed.
        "TURNSTREAM_MAX_ATTEMPTS": "5",
        # The receivers of tests are on this machine.
        "TURNSTREAM_WEBHOOKS": "any",
    }
    directory = tmp_path_factory.mktemp("service")
    # Any worker's engine can be made to fail; see there.
    environ |= {"SABOTAGE": str(directory), "PYTHONPATH": f"{SABOTEUR}{os.pathsep}{ROOT}"}
    with Service(directory, "--workers", "2", environ=environ) as service:
        yield service


@pytest.fixture
def service(faults_service: Service) -> Service:
    """Wait until the service answers turns: the last test may have broken it."""
    deadline = time.monotonic() + BACK_SECONDS
    while not faults_service.answers():
        assert time.monotonic() < deadline, f"it did not recover:\n{faults_service.logs}"
        time.sleep(0.05)
    return faults_service


@pytest.fixture
def redis(service: Service) -> Iterator[Redis]:
    """The service's own Redis, which knows who runs what."""
    url = service.child("serve").environ()["TURNSTREAM_REDIS_URL"]
    with Redis.from_url(url, protocol=2, decode_responses=True) as redis:
        yield redis


@pytest.fixture
async def proxy(service: Service) -> AsyncIterator[Proxy]:
    """A proxy in front of the service's node."""
    async with Proxy(int(service.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def reader(service: Service) -> Reader:
    return Reader(service.url)


@pytest.fixture(scope="session")
def undisturbed(faults_service: Service) -> Callable[[Question], str]:
    """Give the answer to a question when nothing breaks; each is asked once."""
    answers: dict[str, str] = {}

    def answer(question: Question) -> str:
        asked = json.dumps(question)
        if asked not in answers:
            answers[asked] = text_of(fetch(faults_service, "/v1/responses", question))
        return answers[asked]

    return answer


@pytest.fixture
async def workers(service: Service, redis: Redis) -> AsyncIterator[dict[str, psutil.Process]]:
    """Wait for the heartbeats of both workers; resume the stopped ones at the end.

    A stopped worker loses its turns as a killed one does, by the end of their leases, and need not
    load torch again. Tests of what the next worker does stop one; those of how a worker ends kill.
    """
    await until_all_work(service, redis)
    found = worker_names(service)
    yield found
    for process in found.values():
        if process.is_running():
            process.send_signal(signal.SIGCONT)


def worker_names(service: Service) -> dict[str, psutil.Process]:
    """Return the live worker processes by their names in the records."""
    found = {}
    for process in service.family():
        try:
            line = process.cmdline()
            if line[-1:] == ["worker"] and "guard" not in str(line):
                found[f"w{process.environ()['TURNSTREAM_WORKER_INDEX']}"] = process
        except psutil.Error:
            continue
    return found


async def until_all_work(service: Service, redis: Redis, seconds: float = 90) -> None:
    """Wait until both workers have sent a heartbeat within the last second."""
    async with asyncio.timeout(seconds):
        while True:
            now, micros = redis.time()
            since = now * 1000 + micros // 1000 - 1000
            if (
                redis.zcount(keys.heartbeats("demo"), since, "+inf") == 2
                and len(worker_names(service)) == 2
            ):
                return
            await asyncio.sleep(0.05)
