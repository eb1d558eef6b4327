"""A real Redis for every test that needs one: started once, emptied before each test."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from cli.redis_server import PrivateRedis, find_program

START_SECONDS = 20.0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a private Redis for the whole session and give its URL, database 0."""
    private = PrivateRedis.prepare(find_program(), tmp_path_factory.mktemp("redis"))
    server = subprocess.Popen(private.argv)
    try:
        wait_for(private, server)
        yield private.url
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AsyncRedis]:
    """Give a client of the empty database; answers are bytes."""
    async with AsyncRedis.from_url(redis_url, protocol=2, decode_responses=False) as client:
        await client.flushall()
        yield client


def wait_for(private: PrivateRedis, server: "subprocess.Popen[bytes]") -> None:
    """Return once the server answers; fail with its last words if it does not."""
    deadline = time.monotonic() + START_SECONDS
    with Redis.from_url(private.url, protocol=2) as client:
        while True:
            try:
                client.ping()
                return
            except RedisConnectionError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the private Redis did not start: {private.last_words()}")
                time.sleep(0.05)
