"""The clients of the storm benchmark: each has a turn, loses its socket and resumes on a new one.

They use the sans-I/O protocol of `websockets`, without the tasks and timers of its client, because
the server is measured and the clients share its machine.
"""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import urlencode

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from benchmarks.readers import Tally, tally

#: Handshakes at one time; well below the server's backlog.
HANDSHAKES = 500


class Refused(Exception):
    """The server refused a request; the message is its answer."""


class Socket(asyncio.Protocol):
    """One WebSocket; calls `take` with every text."""

    def __init__(self, uri: str, take: Callable[[str], None]) -> None:
        self._protocol = ClientProtocol(parse_uri(uri), max_size=None)
        self._take = take
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            match event:
                case Frame(opcode=Opcode.TEXT, data=text):
                    self._take(bytes(text).decode())
                case Response(status_code=101) if not self.opened.done():
                    self.opened.set_result(None)
                case Response(status_code=status) if not self.opened.done():
                    self.opened.set_exception(Refused(f"the server answered {status}"))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(Refused("the server closed the connection"))

    def send(self, text: str) -> None:
        """Send a text."""
        self._protocol.send_text(text.encode())
        self._flush()

    def cut(self) -> None:
        """Reset the connection without a close frame."""
        self._transport.abort()

    def _flush(self) -> None:
        self._transport.write(b"".join(self._protocol.data_to_send()))


class Client:
    """A client with one turn, and all frames of it, from all of its sockets."""

    def __init__(self, address: str, handshakes: asyncio.Semaphore) -> None:
        self.frames: list[str] = []
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._handshakes = handshakes
        self._socket: Socket
        self._awaited = 0
        self._arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask(self, frames: int) -> None:
        """Ask for a response; return when this many frames of it have arrived."""
        await self._open()
        self._socket.send(json.dumps({"type": "response.create", "input": "Go on."}))
        await self.read(frames)

    async def accept(self) -> None:
        """Open a socket that does nothing; the previous one must be cut."""
        await self._open()

    async def resume(self, frames: int) -> None:
        """Resume the turn; return when this many frames of it have arrived in all."""
        response_id = json.loads(self.frames[0])["response"]["id"]
        await self._open(resume_response_id=response_id, starting_after=len(self.frames) - 1)
        await self.read(frames)

    async def read(self, frames: int) -> None:
        """Return when this many frames have arrived in all."""
        self._awaited = frames
        self._arrived = asyncio.get_running_loop().create_future()
        if len(self.frames) < frames:
            await self._arrived

    def cut(self) -> None:
        """Reset the connection without a close frame."""
        self._socket.cut()

    def tally(self, slices: int) -> Tally:
        """Count the slices that arrived."""
        return tally(self.frames, slices)

    @property
    def in_order(self) -> bool:
        """Whether the events are numbered from 0 without a gap."""
        numbers = [json.loads(frame).get("sequence_number") for frame in self.frames]
        return numbers == list(range(len(numbers)))

    async def _open(self, **query: object) -> None:
        uri = f"ws://{self._host}:{self._port}/v1/responses?{urlencode(query)}"
        loop = asyncio.get_running_loop()
        async with self._handshakes:
            _, self._socket = await loop.create_connection(
                lambda: Socket(uri, self._take), self._host, self._port
            )
            await self._socket.opened

    def _take(self, text: str) -> None:
        if '"sequence_number"' not in text:
            self._arrived.set_exception(Refused(text))
            return
        self.frames.append(text)
        if len(self.frames) >= self._awaited and not self._arrived.done():
            self._arrived.set_result(None)
