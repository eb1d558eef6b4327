"""The WebSocket at `/v1/responses`.

One task only reads: while a message is unread, the server reads nothing else from the connection,
neither pongs nor closes. So each message is put into a lane at once, and only lanes wait.
"""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect

from turnstream.turns.errors import BadRequest, Overloaded, TurnError
from turnstream.turns.event_json import encode
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.tasks import Start, background
from turnstream.turns.turn import Turn
from turnstream.ws_server.answer_headers import origin_of
from turnstream.ws_server.connections.admission import ADDRESS
from turnstream.ws_server.connections.byte_room import Share
from turnstream.ws_server.control_queue import Add, ControlQueue, Renew, Say, Stop, Watch
from turnstream.ws_server.create import Create
from turnstream.ws_server.frames import (
    Cancel,
    Follow,
    Frame,
    Refresh,
    Refusal,
    Resume,
    Steer,
    Unfollow,
    read_frame,
    read_resume,
)
from turnstream.ws_server.lane import Lane, TooManyWaiting
from turnstream.ws_server.references import CountBytes, resolved
from turnstream.ws_server.request_errors import NotServed, TooManyConnections
from turnstream.ws_server.settings import SocketLimits
from turnstream.ws_server.socket_bodies import Draining
from turnstream.ws_server.socket_feeds import SocketFeeds
from turnstream.ws_server.socket_key import SocketKey
from turnstream.ws_server.state import NodeState, state_of
from turnstream.ws_server.steers import UnansweredSteers, steer
from turnstream.ws_server.unanswered import Unanswered, memory_of
from turnstream.ws_server.visitor import Visitor
from turnstream.ws_server.wire import error_frame, error_response

#: When a node shuts down, its clients reconnect spread over this time.
RECONNECT_MS = 2_000
DRAIN_SECONDS = 1.0


async def responses_socket(socket: WebSocket) -> None:
    """Serve one client until it disconnects; its turns continue."""
    state = state_of(socket)
    try:
        visitor = await state.access.admit(socket)
        if not state.owner_sockets.take(visitor.owner):
            raise TooManyConnections("key's owner", state.owner_sockets.most)
    except TurnError as exc:
        await socket.send_denial_response(error_response(exc))
        return
    share = state.requests.begin(visitor.owner)
    try:
        await socket.accept(subprotocol=visitor.subprotocol)
        session = Session(
            socket,
            state,
            share,
            visitor,
            model=socket.query_params.get("model"),
            limits=state.socket_limits,
        )
        state.sessions.add(session)
        try:
            await session.run()
        finally:
            state.sessions.discard(session)
    finally:
        share.close()
        state.owner_sockets.release(visitor.owner)


async def no_such_socket(socket: WebSocket) -> None:
    """Refuse a handshake at a path without a socket."""
    await socket.send_denial_response(error_response(NotServed(socket.url.path, ["/v1/responses"])))


async def announce_drain(sessions: Iterable["Session"]) -> None:
    """Send `server.draining` to every client; do not wait for slow ones."""
    async with asyncio.TaskGroup() as tasks:
        for session in list(sessions):
            tasks.create_task(session.announce_drain())


class Session:
    """One client's connection and its lanes."""

    def __init__(
        self,
        socket: WebSocket,
        state: NodeState,
        share: Share,
        visitor: Visitor,
        *,
        model: str | None,
        limits: SocketLimits,
    ) -> None:
        self.turn_client = state.turn_client
        self.traces = state.traces
        #: Bounds the turns that run; further ones wait on their lanes.
        self.in_flight = asyncio.Semaphore(limits.turns)
        self.room = ReaderRoom()
        self.unanswered = Unanswered(limits.bytes, share)
        self.steers = UnansweredSteers()
        self._socket = socket
        self._directory = state.directory
        self._grammars = state.grammars
        self._reading = state.reading
        self._access = state.access
        self.owner = visitor.owner
        self.key = SocketKey(visitor, self.send, self._close)
        self._model = model
        self._limits = limits
        self._lanes: dict[str | None, Lane] = {}
        self._feeds = SocketFeeds(self, state.owner_feeds, limits.feeds)
        self._control = ControlQueue(self, self._feeds)
        #: Whether this side has closed the socket.
        self._closed = False

    async def run(self) -> None:
        """Read until the client disconnects, then end the lanes."""
        async with background() as start:
            # A timer, and a task only when there is something to do: most sockets are idle.
            time_limit = asyncio.get_running_loop().call_later(
                self._limits.seconds, lambda: start(self._end(), name="time_limit")
            )
            self._control.begin_with(lambda: start(self._run_control(), name="control"))
            try:
                if (resume := read_resume(self._socket.query_params)) is not None:
                    self._take(resume, start)
                while (message := await self._socket.receive())["type"] == "websocket.receive":
                    text = message.get("text")
                    read = partial(read_frame, text, self._limits.body_bytes)
                    take = partial(self._take, start=start)
                    await self._reading.read(self.owner, len(text or ""), read, take)
            except (TooManyWaiting, asyncio.QueueFull):
                await self._cut_off()
            finally:
                time_limit.cancel()
                await self._feeds.close()

    async def send(self, text: str) -> None:
        """Send one message; wait while the client reads slowly."""
        if self._closed:
            raise WebSocketDisconnect
        await self._socket.send_text(text)

    async def announce_drain(self) -> None:
        """Tell the client to reconnect and resume."""
        wait_ms = random.randrange(RECONNECT_MS)
        notice = encode(Draining(retry_after_ms=wait_ms))
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.send(notice)

    async def turn(self, create: Create, count: CountBytes) -> Turn:
        """Make the turn of a request; count the answers that it names."""
        visitor = self.key.current()
        visitor.check_create(create)
        await self._grammars.check(self.owner, *create.grammars)
        model = await self._directory.find(create.model or self._model)
        create = await resolved(create, self.turn_client, self.owner, count)
        latest = {lane.latest for lane in self._lanes.values()}
        cached = create.previous_response_id in latest
        origin = origin_of(self._socket, create.metadata)
        turn = create.turn(self.owner, model, previous_cached=cached, origin=origin)
        return visitor.submitting(turn)

    async def check_response(self, id: str, *, changes: bool = False) -> None:
        """Check that the socket's key is good for a response, perhaps for changing it."""
        await self.key.current().check_response(id, self.turn_client, changes=changes)

    async def steer(self, asked: Steer, stream_id: str | None) -> str:
        """Add input to a running response; return the frame that answers it."""
        return await steer(asked, self.key, self.turn_client, stream_id)

    async def refresh(self, token: str) -> None:
        """Go on with another key of the same owner."""
        address = self._socket.scope.get(ADDRESS, "")
        await self.key.refresh(await self._access.identify(token, address))

    def _take(self, frame: Frame, start: Start) -> None:
        if isinstance(frame.request, Follow | Unfollow):
            self._control.put(Watch(frame.request, frame.stream_id))
            return
        lane = self._lanes.get(frame.stream_id)
        if lane is None:
            if frame.stream_id is not None and self._named() >= self._limits.lanes:
                self._control.put(Say(error_frame(self._too_many_lanes(), frame.stream_id)))
                return
            lane = self._lanes[frame.stream_id] = Lane(self, frame.stream_id)
            start(lane.run(), name="lane")
        self._put(lane, frame)

    def _named(self) -> int:
        return len(self._lanes) - (None in self._lanes)

    def _too_many_lanes(self) -> BadRequest:
        return BadRequest(
            f"A socket has {self._limits.lanes} named lanes at most.",
            code="websocket_stream_limit_reached",
            param="stream_id",
        )

    def _put(self, lane: Lane, frame: Frame) -> None:
        match frame.request:
            case Cancel(response_id=None):
                try:
                    response_id = lane.stop()
                except BadRequest as exc:
                    lane.put(Refusal(exc))
                    return
                if response_id is not None:
                    self._control.put(Stop(lane, response_id))
            case Cancel(response_id=str(response_id)):
                self._control.put(Stop(lane, response_id))
            case Steer() as asked:
                self._steer(asked, frame)
            case Refresh(token=token):
                self._control.put(Renew(token, frame.stream_id))
            case Create() | Resume() | Refusal() as request:
                lane.put(request, frame.size)

    def _steer(self, asked: Steer, frame: Frame) -> None:
        size = memory_of(frame.request, frame.size)
        try:
            self.unanswered.add(size)
        except Overloaded as exc:
            self._control.put(Say(error_frame(exc, frame.stream_id)))
            return
        self._control.put(Add(asked, self._lane_of(asked.response_id, frame.stream_id), size))
        self.steers.add()

    def _lane_of(self, response_id: str, otherwise: str | None) -> str | None:
        for lane in self._lanes.values():
            if response_id in (lane.running, lane.latest):
                return lane.stream_id
        return otherwise

    async def _run_control(self) -> None:
        try:
            await self._control.run()
        except WebSocketDisconnect:
            return
        except TooManyWaiting:
            await self._cut_off()

    async def _cut_off(self) -> None:
        await self._close(1008, "too many messages are unanswered")

    async def _close(self, code: int, reason: str) -> None:
        self._closed = True
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code, reason)

    async def _end(self) -> None:
        over = BadRequest(
            f"This connection has lasted for {self._limits.seconds} seconds: open another.",
            code="websocket_connection_limit_reached",
        )
        with suppress(WebSocketDisconnect):
            await self.send(error_frame(over, None))
        # Clients reconnect by themselves after 1001.
        await self._close(1001, "the connection has reached its time limit")
