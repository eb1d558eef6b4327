"""A real front end and a real Redis; the test plays the worker."""

import hashlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest
import redis.asyncio
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from harness.ports import free_port
from tests.conftest import private_redis
from tests.ws_server.batch_harness import BatchHarness, own_database
from tests.ws_server.edge import KEY, Edge, pages, settings
from tests.ws_server.fake_worker import MODEL, FakeWorker
from tests.ws_server.wire_client import socket_url
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.connection import connect, connect_async
from turnstream.turns.log import Log
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.ws_server.app import create_app
from turnstream.ws_server.batches import output
from turnstream.ws_server.settings import ServerSettings

ROOT = Path(__file__).parents[2]
#: Runs a node in this process, with settings.
Node = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the Redis of the front ends that these tests share."""
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def worker(redis_url: str, redis: "redis.asyncio.Redis") -> Iterator[FakeWorker]:
    # It renews no lease, and a browser on a busy machine takes its time.
    settings = TurnSettings(redis_url=redis_url, lease_seconds=60)
    client = connect(redis_url)
    yield FakeWorker(
        TurnQueue(client, settings, model=MODEL, worker="w0"), Log(client, settings, worker="w0")
    )
    client.close()


@contextmanager
def serving(redis_url: str, directory: Path, **environ: str) -> Iterator[str]:
    """Run a front end alone."""
    port = int(environ.get("TURNSTREAM_PORT", 0)) or free_port()
    mine = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")} | {
        "TURNSTREAM_REDIS_URL": redis_url,
        "TURNSTREAM_MODEL": MODEL,
        "TURNSTREAM_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        **environ,
    }
    with (directory / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnstream", "serve"],
            env=mine,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(url, process, directory / "serve.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until_up(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
            return
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="session")
def node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end without authentication."""
    with serving(redis_url, tmp_path_factory.mktemp("node")) as url:
        yield url


@pytest.fixture(scope="session")
def pages_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of pages of other origins; it has one that is blank."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "blank.html").write_text("<!doctype html><title>blank</title>")
    return folder


@pytest.fixture(scope="session")
def edge(
    redis_url: str, pages_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """A front end with everything around HTTP set."""
    directory = tmp_path_factory.mktemp("edge")
    with (
        pages(pages_folder) as listed,
        pages(pages_folder) as foreign,
        serving(redis_url, directory, **settings(listed)) as url,
    ):
        yield Edge(url, listed, foreign)


@pytest.fixture
async def http(edge: Edge, redis: "redis.asyncio.Redis") -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of the edge with a key; the database is empty."""
    headers = {"authorization": f"Bearer {KEY}"}
    # Certificates, which nothing here has, would be loaded for each client.
    async with httpx2.AsyncClient(
        base_url=edge.url, headers=headers, timeout=20, verify=False
    ) as client:
        yield client


@pytest.fixture(name="socket")
async def open_socket(node: str, worker: FakeWorker) -> AsyncIterator[ClientConnection]:
    """A socket to the node; a worker has just sent a heartbeat."""
    worker.heartbeat()
    async with connect_socket(socket_url(node)) as socket:
        yield socket


@pytest.fixture
async def harness(
    redis_url: str,
    redis: "redis.asyncio.Redis",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[BatchHarness]:
    """What a batch needs except its runner."""
    # Small parts, so that a few lines make several; but larger than the window, so that more may
    # have ended than the next runner first submits.
    monkeypatch.setattr(output, "MOST_LINES", 7)
    url = own_database(redis_url)
    client, worker = connect_async(url), connect(url)
    yield BatchHarness(client, worker, TurnSettings(redis_url=url), tmp_path / "files")
    await client.aclose()
    worker.close()


@pytest.fixture
def local_node(redis_url: str, redis: "redis.asyncio.Redis", tmp_path: Path) -> Node:
    """Run a node in this process; ann and bob have keys."""

    @asynccontextmanager
    async def run(**settings: str) -> AsyncIterator[httpx2.AsyncClient]:
        keys = {owner: hashlib.sha256(owner.encode()).hexdigest() for owner in ("ann", "bob")}
        environ = {
            "REDIS_URL": redis_url,
            "FILES": str(tmp_path / "files"),
            "API_KEYS": ",".join(f"{owner}:{key}" for owner, key in keys.items()),
            **settings,
        }
        app = create_app(
            ServerSettings.read({f"TURNSTREAM_{name}": value for name, value in environ.items()})
        )
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(
                timeout=30,
                transport=transport,
                base_url="http://127.0.0.1",
                headers={"Authorization": "Bearer ann"},
                verify=False,
            ) as client,
        ):
            yield client

    return run


@pytest.fixture(scope="session")
def keyed_node(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A front end that needs keys; ann's is in its settings."""
    settings = {"TURNSTREAM_API_KEYS": "ann:" + hashlib.sha256(b"ann").hexdigest()}
    with serving(redis_url, tmp_path_factory.mktemp("keyed"), **settings) as url:
        yield url


@pytest.fixture
async def keyed_http(keyed_node: str, worker: FakeWorker) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of it without a key; a worker has just sent a heartbeat."""
    worker.heartbeat()
    async with httpx2.AsyncClient(base_url=keyed_node, timeout=20) as client:
        yield client


@pytest.fixture
async def stored_keys(redis_url: str, redis: "redis.asyncio.Redis") -> AsyncIterator[ApiKeys]:
    """Make keys as `turnstream keys` does."""
    client = connect_async(redis_url)
    yield ApiKeys(client, RedisCalls(ProblemLog(redis_url)))
    await client.aclose()
