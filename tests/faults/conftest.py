"""One service for all faults: two workers, exact to the last bit, short leases.

What breaks in it comes back by itself, so every test leaves it as able as it found it, though
perhaps still out of breath.
"""

import asyncio
import json
import os
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
#: The seed decides what is said, and what was said weighs on what will be: another attempt must
#: draw and count the same. At any seed the demo model has some hundred tokens to say.
QUESTION = {
    "input": "Write a long story.",
    "temperature": 1,
    "seed": 7,
    "frequency_penalty": 0.2,
    "presence_penalty": 0.2,
    "max_output_tokens": 300,
}
#: Takes a second or more, so that a fault comes in the middle; uncut, the answer has 645 tokens.
LONG = QUESTION | {"max_output_tokens": examples(400, 1500)}

Question = dict[str, Any]


@pytest.fixture(scope="session")
def faults_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environ = {
        "TURNSTREAM_DTYPE": "float32",
        "TURNSTREAM_LEASE_SECONDS": "1",
        # Running turns are handed on at once, not finished first.
        "TURNSTREAM_DRAIN_SECONDS": "0",
        # A test may take more than one life of a turn, and workers come and go with signals.
        "TURNSTREAM_MAX_ATTEMPTS": "5",
    }
    directory = tmp_path_factory.mktemp("service")
    # Any worker's engine can be made to fail; see there.
    environ |= {"SABOTAGE": str(directory), "PYTHONPATH": f"{SABOTEUR}{os.pathsep}{ROOT}"}
    with Service(directory, "--workers", "2", environ=environ) as service:
        yield service


@pytest.fixture
def service(faults_service: Service) -> Service:
    """The service, once a turn would be answered: the last test may have broken its door."""
    deadline = time.monotonic() + BACK_SECONDS
    while not faults_service.answers():
        assert time.monotonic() < deadline, f"it never came back:\n{faults_service.logs}"
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
    """Gives what is answered to a question when nothing breaks; each is asked once."""
    answers: dict[str, str] = {}

    def answer(question: Question) -> str:
        asked = json.dumps(question)
        if asked not in answers:
            answers[asked] = text_of(fetch(faults_service, "/v1/responses", question))
        return answers[asked]

    return answer


def worker_names(service: Service) -> dict[str, psutil.Process]:
    """Find the worker processes that live, by their names in the records."""
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
    """Wait until both workers have said within a second that they live."""
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
