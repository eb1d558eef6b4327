"""A server with real connections and a small application, for attacks on what is below it.

Its deadlines are a fraction of a second, so that a test that meets one does not wait long.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.types import Receive, Scope, Send

from turnstream.ws_server.connections.admission import ADDRESS, Admission
from turnstream.ws_server.connections.limits import ConnectionLimits
from turnstream.ws_server.connections.proxies import networks
from turnstream.ws_server.connections.server import Server
from turnstream.ws_server.serve import listen

SECONDS = 0.2
#: For tests of what takes too long. In all others a busy machine must not make a client late.
BRIEF = {"head_seconds": SECONDS, "body_seconds": SECONDS, "stalled_seconds": SECONDS}
MESSAGE_BYTES = 64 * 1024
#: Longer than any wait that a test should see.
PATIENCE_SECONDS = 30.0

UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@dataclass
class EchoApp:
    """Count bodies, echo messages, and hold requests to `/held`.

    Bodies to `/later` are read when they are released, and those to `/half` but for a beginning.
    """

    release: asyncio.Event = field(default_factory=asyncio.Event)
    #: Requests that were begun, and those whose client left before they ended.
    begun: int = 0
    left: int = 0
    addresses: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.addresses.append(scope[ADDRESS])
        if scope["type"] == "websocket":
            await self._echo(receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        if scope["path"] == "/flood":
            await self._flood(send)
            return
        if scope["path"] == "/moved":
            headers = [(b"location", b"http://evil.example//x?y=z"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 307, "headers": headers})
            await send({"type": "http.response.body"})
            return
        size, more = 0, scope["path"] != "/unread"
        if scope["path"] == "/later":
            await self.release.wait()
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            size += len(message["body"])
            more = message["more_body"]
            if scope["path"] == "/half":
                await self.release.wait()
        if scope["path"] == "/held":
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(receive())
                waiting = tasks.create_task(self.release.wait())
                await asyncio.wait([leaving, waiting], return_when=asyncio.FIRST_COMPLETED)
                self.left += leaving.done()
                leaving.cancel()
                waiting.cancel()
        body = json.dumps({"size": size}).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _flood(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        await send({"type": "http.response.body"})

    async def _echo(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 1000})
            elif message.get("text") != "quiet":
                text, data = message.get("text"), message.get("bytes")
                await send({"type": "websocket.send", "text": text, "bytes": data})


@dataclass(frozen=True)
class Opened:
    """A server that listens on loopback."""

    app: EchoApp
    server: Server
    port: int

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def unread(self) -> int:
        """Return the bytes of bodies that have arrived and that nobody has taken."""
        connections = self.server.server_state.connections
        return sum(len(each.cycle.body) for each in connections if each.cycle)

    @property
    def held(self) -> int:
        """Return how many connections are counted."""
        return self.server._admission._connections.held("")

    async def connect(self) -> "Client":
        """Open a raw connection."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Client, "127.0.0.1", self.port))[1]

    async def upgraded(self) -> "Client":
        """Open a WebSocket."""
        client = await self.connect()
        client.send(UPGRADE + b"\r\n")
        assert b" 101 " in await client.head()
        return client


class Client(asyncio.Protocol):
    """A raw connection; it keeps what it got, also when it is reset."""

    def __init__(self) -> None:
        self.got = b""
        self.closed = False
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._changed.set()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def drop(self) -> None:
        self.transport.abort()

    async def head(self) -> bytes:
        """Take the head of an answer."""
        await self._until(lambda: b"\r\n\r\n" in self.got)
        return self._take(self.got.index(b"\r\n\r\n") + 4)

    async def exactly(self, size: int) -> bytes:
        """Take so many bytes."""
        await self._until(lambda: len(self.got) >= size)
        return self._take(size)

    async def rest(self) -> bytes:
        """Take what comes until the server closes the connection."""
        await self._until(lambda: self.closed)
        return self._take(len(self.got))

    async def error(self) -> tuple[int, str]:
        """Take the refusal with which the server closes; return its status and code."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)["error"]["code"]

    async def close_code(self) -> int:
        """Take what comes until the server closes; return the code in its close frame."""
        rest = await self.rest()
        at = rest.rindex(b"\x88")
        return int.from_bytes(rest[at + 2 : at + 4])

    async def send_until_cut(self, piece: bytes, most: int) -> int:
        """Send a piece again and again until anything comes back; return the bytes sent."""
        sent = 0
        while sent < most and not self.got and not self.closed:
            self.send(piece)
            sent += len(piece)
            await asyncio.sleep(0)
            while self.transport.get_write_buffer_size() and not self.got and not self.closed:
                await asyncio.sleep(0.001)
        return sent

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                assert not self.closed, self.got
                self._changed.clear()
                await self._changed.wait()

    def _take(self, size: int) -> bytes:
        taken, self.got = self.got[:size], self.got[size:]
        return taken


@asynccontextmanager
async def opened(trusted: str = "", **limits: float) -> AsyncIterator[Opened]:
    """Serve an `EchoApp`; only the time that a client has to close is short by default."""
    times = dict.fromkeys(BRIEF, 2 * PATIENCE_SECONDS)
    settings = ConnectionLimits(**{"close_seconds": SECONDS, **times, **limits})  # type: ignore[arg-type]
    app = EchoApp()
    listening = listen("127.0.0.1", 0, settings.stalled_seconds)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = Server(config, listening, Admission(settings, networks(trusted)))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not server.started:
            await asyncio.sleep(0)
    try:
        yield Opened(app, server, listening.getsockname()[1])
    finally:
        app.release.set()
        server.should_exit = True
        await serving


def frame(opcode: int, data: bytes = b"", *, final: bool = True) -> bytes:
    """Write a frame as a client does, masked with zeros."""
    size = len(data)
    first = bytes([0x80 * final | opcode])
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return first + length + bytes(4) + data
