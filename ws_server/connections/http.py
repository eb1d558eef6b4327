"""One HTTP connection: uvicorn's protocol, with bounds of bytes and time."""

import asyncio
from functools import partial
from typing import Any

import httptools
from starlette.types import Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from turnstream.turns.errors import BadRequest, TurnError
from turnstream.ws_server.connections.admission import ADDRESS, Admission
from turnstream.ws_server.connections.closing import Closing, Stall
from turnstream.ws_server.connections.counts import Permits
from turnstream.ws_server.connections.limits import PIPELINED, READ_BYTES
from turnstream.ws_server.connections.progress import Progress
from turnstream.ws_server.connections.refusal import refusal, secure
from turnstream.ws_server.connections.request_head import Headers, check_head
from turnstream.ws_server.connections.websocket import SocketConnection
from turnstream.ws_server.http_protocol import HttpProtocol
from turnstream.ws_server.request_errors import RequestTooSlow, TooManyConnections
from turnstream.ws_server.wire import error_response


class HttpConnection(HttpProtocol):
    """Serve one connection until it ends or becomes a WebSocket.

    Args:
        permits: what the connection has taken; released when it ends.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        admission: Admission,
        permits: Permits,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._admission = admission
        self._limits = admission.limits
        self._permits = permits
        self._progress = Progress()
        #: The request that is being answered; `cycle` is the latest one.
        self._answered: RequestResponseCycle | None = None
        #: The one whose body was asked for.
        self._reading: RequestResponseCycle | None = None
        #: Whether nothing more is read, because of what was.
        self._refused = False
        #: Set once the client was told so.
        self._closing: Closing | None = None
        #: When the head must be complete, or the body is looked at next.
        self._timer: asyncio.TimerHandle | None = None
        #: Bytes of the body at the last look, and whether it was delayed here since.
        self._seen, self._delayed = 0, False

    # The connection.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._stall = Stall(transport, self._limits.stalled_seconds)
        self._timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset_timer()
        self._disconnect()
        self._stall.end()
        if self._closing is not None:
            self._closing.cancel()
        self._permits.release()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def data_received(self, data: bytes) -> None:
        if self._closing is not None:
            self._closing.discard(len(data))
        if self._refused or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._progress.fed(len(data))
        try:
            self.parser.feed_data(data)
            self._progress.check()
            self._hold_back()
            self._set_timer()
        except httptools.HttpParserUpgrade as exc:
            if self._should_upgrade():
                self._upgrade(data[exc.args[0] :])
            else:
                # The parser is of no more use, but this request can be answered.
                self.cycle.keep_alive = False
        except httptools.HttpParserError as exc:
            # A callback's error is its context.
            why = exc.__context__
            if not isinstance(why, TurnError):
                why = BadRequest("The request is not valid HTTP.", code="invalid_http")
            self._refuse(why)
        except TurnError as exc:
            self._refuse(exc)

    # What the parser reports; errors that are raised here end in `data_received`.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._progress.begin()

    def on_url(self, url: bytes) -> None:
        self._progress.line(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._progress.header(len(name) + len(value))
        # Nobody reads trailers.
        if not self._progress.in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unset_timer()
        self._check_head()
        if len(self.pipeline) >= PIPELINED:
            # Those are answered, and the client may repeat the rest.
            raise BadRequest("Too many requests are pipelined.", code="invalid_http")
        super().on_headers_complete()
        self._progress.head_complete()

    def on_body(self, body: bytes) -> None:
        self._progress.body(len(body), wanted=not self.cycle.response_complete)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress.complete()
        self._unset_timer()
        super().on_message_complete()

    def _hold_back(self) -> None:
        """Read no more of a body than its request can use at once, and none that it may refuse."""
        if not self._progress.in_body or self.cycle.response_complete:
            return
        held = len(self.cycle.body)
        if held >= READ_BYTES or (held and self.cycle is not self._reading):
            self.flow.pause_reading()
        self._delayed |= self.flow.read_paused

    def _check_head(self) -> None:
        handshake = self.parser.should_upgrade() and self._should_upgrade()
        check_head(
            self.url, self.headers, version=self.parser.get_http_version(), handshake=handshake
        )

    # Answers.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        answer: Any = partial(self._answer, cycle, app)
        super()._start_asgi_task(cycle, answer)

    async def _answer(
        self,
        cycle: RequestResponseCycle,
        app: Any,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request, unless its address has too many."""

        async def reading() -> Message:
            self._reading = cycle
            return await receive()

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(message)
            await send(message)

        scope[ADDRESS] = address = self._address(scope["headers"])
        permits = Permits()
        try:
            self._admission.request(permits, self._peer, address)
        except TooManyConnections as exc:
            await error_response(exc)(scope, receive, secured)
            return
        try:
            await app(scope, reading, secured)
        finally:
            permits.release()
            # What came of its body and nobody wants any more.
            cycle.body = bytearray()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def _address(self, headers: Headers) -> str:
        forwarded = (value for name, value in headers if name == b"x-forwarded-for")
        return self._admission.proxies.client(self._peer, forwarded)

    # Deadlines.

    def _set_timer(self) -> None:
        """See that what is incomplete has a deadline."""
        if self._timer is not None:
            return
        if self._progress.head_incomplete:
            self._timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)
        elif self._progress.in_body:
            self._seen, self._delayed = self._progress.body_bytes, False
            self._timer = self.loop.call_later(self._limits.body_seconds, self._look_at_body)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        self._timer = None
        if self._progress.head_incomplete:
            self._refuse(RequestTooSlow("The request's headers did not arrive in time."))
        else:
            self.transport.close()

    def _look_at_body(self) -> None:
        self._timer = None
        least = self._limits.body_rate * self._limits.body_seconds
        delayed = self._delayed or self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._progress.body_bytes - self._seen < least and not delayed:
            self._refuse(RequestTooSlow("The request's body arrives too slowly."))
        else:
            self._set_timer()

    # Endings.

    def _refuse(self, error: TurnError) -> None:
        """Read no more; say why, unless an answer is under way; then close the connection."""
        self._refused = True
        self._unset_timer()
        self._unset_keepalive_if_required()
        in_body = self._progress.in_body and self.cycle is not None
        if in_body and self.pipeline:
            # The rest of its body is not read.
            self.pipeline.popleft()
            in_body = False
        last = self.pipeline[0][0] if self.pipeline else self._answered
        if last and not last.response_complete and not (in_body and last is self.cycle):
            last.keep_alive = False
            self.flow.pause_reading()
        elif last and in_body and last.response_started and not last.response_complete:
            self.transport.abort()
        else:
            self._disconnect()
            if not (last and in_body and last.response_complete):
                self.transport.write(refusal(error))
            self._closing = Closing(self.transport)

    def _disconnect(self) -> None:
        """Tell the application of each request that its client is gone."""
        for cycle in (self._answered, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()

    def _upgrade(self, early: bytes) -> None:
        """Become a WebSocket."""
        if self._answered is not None and not self._answered.response_complete:
            self.transport.abort()
            return
        self._unset_timer()
        address = self._address(self.headers)
        try:
            self._admission.request(self._permits, self._peer, address)
        except TooManyConnections as exc:
            self._refuse(exc)
            return
        self.connections.discard(self)
        # The parser and this connection refer to each other.
        self.parser = None  # type: ignore[assignment]
        socket = SocketConnection(
            self.config,
            self.server_state,
            self.app_state,
            admission=self._admission,
            permits=self._permits,
        )
        socket.open(self.transport, self.scope, self.url, address=address, early=early)
