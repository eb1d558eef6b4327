"""One WebSocket: uvicorn's protocol over `FrameReader`, which gives it a message at a time.

While a message is unread nothing more is parsed, and the next one is parsed in a later turn of the
loop: however many a client sends at once, others are served between them.
"""

import asyncio
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from turnstream.turns.errors import Overloaded
from turnstream.ws_server import metrics
from turnstream.ws_server.connections.admission import ADDRESS, Admission
from turnstream.ws_server.connections.bounded_reads import BoundedReads
from turnstream.ws_server.connections.byte_room import Share
from turnstream.ws_server.connections.closing import Stall
from turnstream.ws_server.connections.counts import Permits
from turnstream.ws_server.connections.frames import FrameReader
from turnstream.ws_server.connections.limits import READ_BYTES, UNSENT_BYTES


class SocketConnection(WebSocketsSansIOProtocol):
    """Serve one WebSocket.

    Args:
        permits: what its connection has taken; released when it ends.
    """

    conn: FrameReader

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
        self.conn = FrameReader(
            max_size=config.ws_max_size,
            logger=self.logger,
            unsent=self._unsent,
        )
        self._limits = admission.limits
        self._permits = permits
        self._arriving = admission.arriving
        #: What its message takes that is still arriving.
        self._share: Share | None = None
        #: The next turn of the parser, when it is to go on by itself.
        self._next: asyncio.Handle | None = None
        #: Cuts the connection if it can't be closed.
        self._cut: asyncio.TimerHandle | None = None
        #: The next look at a message that is incomplete, and what had arrived at the last one.
        self._look: asyncio.TimerHandle | None = None
        self._received = self._seen = 0

    def open(
        self,
        transport: asyncio.Transport,
        scope: HTTPScope,
        url: bytes,
        *,
        address: str,
        early: bytes,
    ) -> None:
        """Begin with a handshake that was read over HTTP.

        Args:
            address: where it came from.
            early: what came behind it, from a client that should have waited.
        """
        headers = Headers()
        for name, value in scope["headers"]:
            headers[name.decode("ascii")] = value.decode("latin-1")
        self._stall = Stall(transport, self._limits.stalled_seconds)
        # What `connection_made` does, without asking the system for the addresses again.
        self.transport = transport
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self.server, self.client = scope["server"], scope["client"]
        self.scheme = "wss" if scope["scheme"] == "https" else "ws"
        self.connections.add(self)
        cast(BoundedReads, transport.get_protocol()).protocol = self
        version = f"HTTP/{scope['http_version']}"
        self.handle_connect(Request(url.decode("ascii"), headers, scope["method"], version))
        if self.handshake_complete:
            # Refused.
            self._cut_if_stuck()
            return
        cast(dict[str, Any], self.scope)[ADDRESS] = self._address = address
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._next, self._cut, self._look):
            if timer is not None:
                timer.cancel()
        self._stall.end()
        self._permits.release()
        self._give_back()

    # Receiving.

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        self.conn.reader.feed_data(data)
        if not self.handshake_complete:
            if len(self.conn.reader.buffer) > READ_BYTES:
                self._pause()
        elif self._next is None:
            self._parse()

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        if self.queue.empty() and self.handshake_complete:
            if self.conn.reader.buffer:
                self._parse_later()
            else:
                self._resume()
        return message

    def _parse_later(self) -> None:
        if self._next is None:
            self._next = self.loop.call_soon(self._parse)

    def _parse(self) -> None:
        self._next = None
        if self.transport.is_closing():
            return
        next(self.conn.parser)
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        self.handle_events()
        if self.queue.empty() or self.close_sent:
            if self.conn.stopped and self.conn.reader.buffer:
                self._pause()
                self._parse_later()
            else:
                self._resume()
        self._count()
        self._watch()

    def send_receive_event_to_app(self) -> None:
        data, self.frames = self.frames[0], []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "a text is not UTF-8")
                return
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": bytes(data)})
        self._pause()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._cut_if_stuck()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_if_stuck()

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _pause(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _count(self) -> None:
        """Count a message that is incomplete; a small one is not worth it."""
        held = self.conn.held if self.conn.incomplete else 0
        if held <= READ_BYTES:
            self._give_back()
            return
        if self._share is None:
            self._share = self._arriving.begin(self._address)
        try:
            if (more := held - self._share.bytes) > 0:
                self._share.take(more)
        except Overloaded:
            self._give_back()
            self._fail(CloseCode.TRY_AGAIN_LATER, "too many messages are arriving")

    def _give_back(self) -> None:
        if self._share is not None:
            self._share.close()
            self._share = None

    def _watch(self) -> None:
        """See that a message that is incomplete goes on arriving."""
        if not self.conn.incomplete or not self._limits.body_rate:
            if self._look is not None:
                self._look.cancel()
                self._look = None
        elif self._look is None:
            self._seen = self._received
            self._look = self.loop.call_later(self._limits.body_seconds, self._look_at_message)

    def _look_at_message(self) -> None:
        self._look = None
        if self.close_sent or self.transport.is_closing():
            return
        least = self._limits.body_rate * self._limits.body_seconds
        if self._received - self._seen < least and not self.read_paused:
            self._fail(CloseCode.POLICY_VIOLATION, "a message arrives too slowly")
            return
        self._watch()

    # Sending.

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            # Of no more use, and larger than the rest of an idle socket.
            del self.request, self.response
            if self.conn.reader.buffer:
                self._parse_later()
            else:
                self._resume()
        elif message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(
                self._limits.close_seconds, self.transport.abort
            )
            if self.conn.reader.buffer:
                self._parse_later()
        self._cut_if_stuck()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    # Closing.

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        metrics.reader_cut("no_pong")
        self._cut_if_stuck()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_if_stuck()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._cut_if_stuck()

    def _cut_if_stuck(self) -> None:
        """Cut a connection that was closed if its client does not take what was sent before."""
        if self._cut is None and self.transport.is_closing() and self._unsent():
            self._cut = self.loop.call_later(self._limits.close_seconds, self.transport.abort)
