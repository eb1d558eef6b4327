"""One socket, kept open while there are turns: each on a lane of its own, all resumed after a cut.

The lanes of a socket that was lost are gone with it. So a turn is not bound to what was sent: a new
socket is told, for each turn that has not ended, what gets all that has not arrived.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from turnstream.client.address import Address
from turnstream.client.errors import ClientClosed, ClientError, Unreachable
from turnstream.client.event import ENDS, Json, Response
from turnstream.client.failures import check_handshake, refusal_of, too_large, words
from turnstream.client.options import Options, pauses
from turnstream.client.steers import Steers
from turnstream.client.turn import AsyncTurn
from turnstream.client.watched import Watched

#: Of one event; the last one of an answer has all of it, and of the request its instructions.
EVENT_BYTES = 64 * 1024 * 1024
#: The close code of a message that is too large.
TOO_LARGE = 1009
_LOST = (OSError, EOFError, TimeoutError, WebSocketException)
#: Of a cancel that came too late; no request is refused with it.
_NOT_ACTIVE = "response_not_active"

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Connection:
    """A client's socket and its lanes."""

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str],
        options: Options,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.retry_seconds = options.retry_seconds
        self._address = address
        self._headers = headers
        self._options = options
        self._tls = tls
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        #: Set while a socket is wanted.
        self._wanted = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        #: Whether the first failure ends the attempt to connect.
        self._once = False
        #: Lanes in use. None: what comes on it is not wanted any more.
        self._lanes: dict[str, AsyncTurn | None] = {}
        self._steers = Steers()
        #: What is followed.
        self.watched = Watched(options.retry_seconds, self._want, self._say)
        self._free = [f"lane-{number}" for number in reversed(range(options.turns))]
        self._freed = asyncio.Condition()
        #: When the service wants to be asked again, after it has said that it shuts down.
        self._not_before = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a socket now."""
        return self._socket is not None

    async def open(self, *, retry: bool) -> None:
        """Open the socket, if it is not open.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        if self._socket is None:
            self._once = not retry
            opened = asyncio.get_running_loop().create_future()
            self._waiters.append(opened)
            self._want()
            await opened

    async def ask(self, turn: AsyncTurn) -> None:
        """Send what gets the rest of a turn on a free lane, now or after the next reconnect.

        Raises:
            ClientClosed
        """
        while not self._free:
            self._want()
            async with self._freed:
                await self._freed.wait_for(lambda: self._free or self._closed)
        self._want()
        lane = self._free.pop()
        self._lanes[lane] = turn
        turn.asked()
        if self._socket is not None:
            await self._send(self._socket, lane, turn)

    async def cancel(self, turn: AsyncTurn) -> None:
        """Send that a turn is to be cancelled; a turn without a socket is cancelled on the next."""
        for lane, on_lane in self._lanes.items():
            if on_lane is turn:
                await self._say(turn.cancel_frame(lane))
                return

    async def steer(self, frame: Json) -> str:
        """Send what is said to a running turn, now and after each reconnect; return its id.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        self._want()
        text, answer = self._steers.add(frame)
        try:
            await self._say(text)
            return await answer
        finally:
            self._steers.remove(frame["idempotency_key"])

    async def close(self) -> None:
        """Close the socket; turns that have not ended fail here, and go on at the service."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail(ClientClosed("The client was closed."))
        await self._notify()

    def _want(self) -> None:
        if self._closed:
            raise ClientClosed("The client was closed.")
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="turnstream client")

    async def _run(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                try:
                    await self._stay_connected()
                except ClientError as exc:
                    self._fail(exc)
                    await self._notify()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            # A bug of ours must not leave readers waiting.
            self._closed = True
            self._fail(ClientError(f"The client has failed: {exc!r}"))
            raise

    async def _stay_connected(self) -> None:
        """Connect, read and reconnect until no turn is left.

        Raises:
            RequestRefused, Unreachable: it is given up.
        """
        waits, lost_at = pauses(), time.monotonic()
        while self._wanted.is_set():
            reason: Exception | None = None
            try:
                async with self._connect() as socket:
                    async for text in self._messages(socket):
                        waits, lost_at = pauses(), 0.0
                        await self._dispatch(text)
            except InvalidStatus as exc:
                check_handshake(exc)
                reason = exc
            except _LOST as exc:
                reason = exc
            finally:
                self._socket = None
            if not self._forget_lanes():
                return
            await self._pause(waits, lost_at := lost_at or time.monotonic(), reason)

    def _connect(self) -> connect:
        options = self._options
        return connect(
            self._address.socket,
            additional_headers=self._headers,
            ssl=self._tls,
            compression=None,
            max_size=EVENT_BYTES,
            proxy=None,
            open_timeout=options.answer_seconds,
            ping_interval=options.ping_seconds,
            ping_timeout=options.ping_seconds,
            close_timeout=1,
        )

    async def _messages(self, socket: ClientConnection) -> Any:
        """Ask for all turns, then yield what the socket says until it is closed."""
        sent: set[str] = set()
        # Turns may come while others are sent.
        while unsent := self._lanes.keys() - sent:
            for lane in unsent:
                sent.add(lane)
                if (turn := self._lanes[lane]) is not None:
                    await self._send(socket, lane, turn)
        self._socket = socket
        for frame in (*self._steers.frames(), *self.watched.frames()):
            await socket.send(frame)
        self._once = False
        for waiter in self._take_waiters():
            waiter.set_result(None)
        async for text in socket:
            yield text
        if socket.close_code == TOO_LARGE:
            raise too_large()

    async def _say(self, frame: str) -> None:
        """Send a frame if there is a socket; if there is none, the next one is told."""
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame)

    async def _send(self, socket: ClientConnection, lane: str, turn: AsyncTurn) -> None:
        frame = {**turn.frame(), "stream_id": lane}
        with contextlib.suppress(ConnectionClosed):  # then it is sent on the next socket
            await socket.send(msgspec.json.encode(frame).decode())
            if turn.cancelled:
                await socket.send(turn.cancel_frame(lane))

    async def _dispatch(self, text: str | bytes) -> None:
        data: Json = _decode(text)
        kind = data["type"]
        if kind == "turnstream:server.draining":
            self._not_before = time.monotonic() + data["retry_after_ms"] / 1000
        if kind.startswith("response.steer."):
            self._steers.answered(data)
            return
        lane = data.get("stream_id") or ""
        is_event = lane in self._lanes and "sequence_number" in data
        if self.watched.receive(lane, data) or not is_event:
            return
        if kind == "error" and data["error"]["code"] == _NOT_ACTIVE:
            return
        turn = self._lanes[lane]
        if turn is not None and not turn.receive(data):
            self._lanes[lane] = None
        if kind in ENDS and Response.of(data["response"]).successor_id is not None:
            # Its events are the next on this lane, wanted or not.
            self._lanes[lane] = turn.next_on_lane if turn is not None else None
        elif kind in ENDS or kind == "error":
            del self._lanes[lane]
            self._free.append(lane)
            await self._notify()

    def _forget_lanes(self) -> bool:
        """Free the lanes of a socket that is gone; return whether another socket is wanted."""
        for lane in [lane for lane, turn in self._lanes.items() if turn is None]:
            del self._lanes[lane]
            self._free.append(lane)
        if not (self._lanes or self._waiters or self._steers or self.watched):
            self._wanted.clear()
        return self._wanted.is_set()

    async def _pause(
        self, waits: Iterator[float], lost_at: float, reason: Exception | None
    ) -> None:
        now = time.monotonic()
        pause = max(next(waits), self._not_before - now)
        if isinstance(reason, InvalidStatus):
            pause = max(pause, refusal_of(reason).retry_after or 0)
        if self._once or now + pause - lost_at > self._options.retry_seconds:
            said = "the connection was closed" if reason is None else words(reason)
            raise Unreachable(f"cannot connect to {self._address.url}: {said}") from reason
        await asyncio.sleep(pause)

    def _fail(self, error: ClientError) -> None:
        self._wanted.clear()
        self._once = False
        for turn in self._lanes.values():
            if turn is not None:
                turn.fail(error)
        self._steers.fail(error)
        self.watched.fail(error)
        self._free += self._lanes
        self._lanes.clear()
        for waiter in self._take_waiters():
            waiter.set_exception(error)

    def _take_waiters(self) -> list[asyncio.Future[None]]:
        waiters, self._waiters = self._waiters, []
        return [waiter for waiter in waiters if not waiter.done()]

    async def _notify(self) -> None:
        async with self._freed:
            self._freed.notify_all()
