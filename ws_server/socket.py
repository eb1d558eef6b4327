"""The socket at `/v1/responses`.

One task only reads: as long as a message is unread the server below stops reading altogether, and
then it sees neither pongs nor closes. So whatever comes is put into a lane at once, and lanes do
the waiting.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from turns.ending import end
from turns.errors import BadRequest, NotServed, TurnError
from turns.front import Front
from turns.turn import Turn
from ws_server.create import Create
from ws_server.directory import Directory
from ws_server.frames import Cancel, Frame, read_frame, read_resume
from ws_server.lane import Lane, TooManyWaiting
from ws_server.wire import error_frame, error_response

#: Turns in flight on one socket; further ones wait on their lanes.
IN_FLIGHT = 16
#: Named lanes on one socket.
LANES = 32
#: Cancels that wait to be carried out; a client that sends more is cut off.
CANCELS = 64
#: Clients of a node that goes come back spread over so long.
COME_BACK_MS = 2_000
GOODBYE_SECONDS = 1.0


async def responses_socket(socket: WebSocket) -> None:
    """Serve one client until it leaves; its turns go on without it."""
    state = socket.app.state
    try:
        visitor = state.access.admit(socket)
    except TurnError as exc:
        await socket.send_denial_response(error_response(exc))
        return
    await socket.accept(subprotocol=visitor.subprotocol)
    session = Session(
        socket,
        state.front,
        state.directory,
        owner=visitor.owner,
        model=socket.query_params.get("model"),
    )
    state.sessions.add(session)
    try:
        await session.run()
    finally:
        state.sessions.discard(session)


async def no_such_socket(socket: WebSocket) -> None:
    """Answer a handshake at a path where there is no socket."""
    await socket.send_denial_response(error_response(NotServed(socket.url.path)))


async def say_goodbye(sessions: Iterable["Session"]) -> None:
    """Tell every client that this node goes; who has not taken it within a second goes without."""
    async with asyncio.TaskGroup() as tasks:
        for session in list(sessions):
            tasks.create_task(session.say_goodbye())


class Session:
    """One client's lanes."""

    def __init__(
        self,
        socket: WebSocket,
        front: Front,
        directory: Directory,
        *,
        owner: str,
        model: str | None,
    ) -> None:
        self.front = front
        self.in_flight = asyncio.Semaphore(IN_FLIGHT)
        self._socket = socket
        self._directory = directory
        self.owner = owner
        self._model = model
        self._lanes: dict[str | None, Lane] = {}
        self._cancels: asyncio.Queue[tuple[Lane, str]] = asyncio.Queue(CANCELS)

    async def run(self) -> None:
        """Read until the client leaves, then let go of everything of its own."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._cancel(), name="cancels")]

            def start(lane: Lane) -> None:
                running.append(tasks.create_task(lane.run(), name="lane"))

            try:
                if (resume := read_resume(self._socket.query_params)) is not None:
                    self._take(resume, start)
                while (message := await self._socket.receive())["type"] == "websocket.receive":
                    self._take(read_frame(message.get("text")), start)
            except (TooManyWaiting, asyncio.QueueFull):
                await self._socket.close(1008, "too many messages wait to be answered")
            finally:
                await end(running)

    async def send(self, text: str) -> None:
        """Send one message; waits while the client is slow to read."""
        await self._socket.send_text(text)

    async def say_goodbye(self) -> None:
        """Tell the client to come back, here or elsewhere, and go on where it was."""
        wait_ms = random.randrange(COME_BACK_MS)
        notice = f'{{"type":"turnstream:server.draining","retry_after_ms":{wait_ms}}}'
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.send(notice)

    async def turn(self, create: Create) -> Turn:
        """Make a turn of a request of this client."""
        model = await self._directory.find(create.model or self._model)
        latest = {lane.latest for lane in self._lanes.values()}
        cached = create.previous_response_id in latest
        return create.turn(self.owner, model, parent_cached=cached)

    def _take(self, frame: Frame, start: Callable[[Lane], None]) -> None:
        if frame.stream_id not in self._lanes:
            frame = self._within_bounds(frame)
        lane = self._lanes.get(frame.stream_id)
        if lane is None:
            lane = self._lanes[frame.stream_id] = Lane(self, frame.stream_id)
            start(lane)
        self._put(lane, frame)

    def _within_bounds(self, frame: Frame) -> Frame:
        if frame.stream_id is None or len(self._lanes) - (None in self._lanes) < LANES:
            return frame
        refusal = BadRequest(
            f"A socket has {LANES} named lanes at most.",
            code="websocket_stream_limit_reached",
            param="stream_id",
        )
        return Frame(None, refusal)

    def _put(self, lane: Lane, frame: Frame) -> None:
        match frame.request:
            case Cancel(response_id=None) if lane.running is None:
                lane.put(BadRequest("Nothing runs on this lane.", code="response_not_active"))
            case Cancel(response_id=id):
                self._cancels.put_nowait((lane, id or lane.running or ""))
            case request:
                lane.put(request)

    async def _cancel(self) -> None:
        while True:
            lane, response_id = await self._cancels.get()
            try:
                await self.front.cancel(response_id, self.owner)
            except TurnError as exc:
                try:
                    await self.send(error_frame(exc, lane.stream_id))
                except WebSocketDisconnect:
                    return
