"""Answer the requests of one lane of a socket in order, each to its end.

Refusals wait in the lane's queue too: clients match answers to requests by order alone, so nothing
of a second request may be sent before the first has ended.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from starlette.websockets import WebSocketDisconnect

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import BadRequest, Overloaded, TurnError
from turnstream.turns.event_json import steering_of, with_stream_id
from turnstream.turns.follower import Follower
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.traces import Traces
from turnstream.turns.turn import Turn
from turnstream.ws_server import metrics
from turnstream.ws_server.create import Create
from turnstream.ws_server.frames import Refusal, Resume, Steer
from turnstream.ws_server.references import CountBytes
from turnstream.ws_server.steers import UnansweredSteers, unused
from turnstream.ws_server.traced import traced
from turnstream.ws_server.unanswered import Unanswered, memory_of
from turnstream.ws_server.unexpected import confined
from turnstream.ws_server.wire import error_frame

#: Requests that may wait on one lane; one more is refused.
WAITING = 32
#: Refusals that may wait beyond that; a client with more is disconnected.
REFUSALS = 32


@dataclass(frozen=True, slots=True)
class Successor:
    """Follow the turn that goes on with the input that the one before was steered by."""

    response_id: str


#: What a lane's queue holds.
Request = Create | Resume | Refusal


class Connection(Protocol):
    """What a lane uses of its socket."""

    turn_client: TurnClient
    traces: Traces
    #: Bounds the turns that run on all lanes together.
    in_flight: asyncio.Semaphore
    #: What the lanes keep of events that are not sent yet.
    room: ReaderRoom
    owner: str
    #: Bounds the requests of all lanes together.
    unanswered: Unanswered
    steers: UnansweredSteers

    async def send(self, text: str) -> None: ...

    async def turn(self, create: Create, count: CountBytes) -> Turn: ...

    async def check_response(self, id: str, *, changes: bool = False) -> None:
        """Check that the socket's key is good for a response, perhaps for changing it."""

    async def steer(self, steer: Steer, stream_id: str | None) -> str:
        """Add input to a running response; return the frame that answers it."""

    async def refresh(self, token: str) -> None:
        """Go on with another key."""


def _forget_request(error: BaseException) -> None:
    """Drop the stack of an error that waits: its frames would keep the request in memory."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


class TooManyWaiting(Exception):
    """The client has too many unanswered messages."""


class Lane:
    """Answer the requests of one `stream_id`."""

    def __init__(self, connection: Connection, stream_id: str | None) -> None:
        self.stream_id = stream_id
        #: The turn being answered.
        self.running: str | None = None
        #: The last turn answered; this socket can continue it even if it is not stored.
        self.latest: str | None = None
        self._connection = connection
        #: Requests and what they were counted for.
        self._inbox: asyncio.Queue[tuple[Request, int]] = asyncio.Queue(WAITING + REFUSALS)
        #: What the request that is being answered was counted for.
        self._counted = 0
        #: Requests that wait or run, without refusals.
        self._pending = 0
        #: The next turn was cancelled before it began.
        self._stop_next = False

    def put(self, request: Request, size: int = 0) -> None:
        """Add a request or its refusal without waiting.

        Args:
            size: bytes of the request's strings, counted until it is answered.

        Raises:
            TooManyWaiting: there is no room even for a refusal.
        """
        if not isinstance(request, Refusal):
            size = memory_of(request, size)
            try:
                self._make_room(size)
            except Overloaded as full:
                parent = request.previous_response_id if isinstance(request, Create) else None
                request, size = Refusal(full, parent), 0
        if isinstance(request, Refusal):
            _forget_request(request.error)
        try:
            self._inbox.put_nowait((request, size))
        except asyncio.QueueFull as exc:
            raise TooManyWaiting from exc
        self._pending += not isinstance(request, Refusal)

    def _make_room(self, size: int) -> None:
        if self._inbox.qsize() >= WAITING:
            raise Overloaded(f"{WAITING} requests wait on this lane already.")
        self._connection.unanswered.add(size)

    def stop(self) -> str | None:
        """Return the turn to cancel; None: the next one is cancelled when it begins.

        Raises:
            BadRequest: no request runs or waits on this lane.
        """
        if self.running is None:
            if not self._pending:
                raise BadRequest("Nothing runs on this lane.", code="response_not_active")
            self._stop_next = True
        return self.running

    async def run(self) -> None:
        """Answer requests until the socket closes."""
        try:
            while True:
                match await self._inbox.get():
                    case (Refusal() as refusal, _):
                        await self._refuse(refusal)
                    case (request, size):
                        self._counted = size
                        async with self._connection.in_flight:
                            await self._answer(request)
                        self._connection.unanswered.remove(self._counted)
        except WebSocketDisconnect:
            return

    async def _answer(self, request: Create | Resume) -> None:
        try:
            with confined("a request on a socket"):
                successor = await self._follow(request)
                while successor is not None:
                    self.running = successor.response_id
                    successor = await self._follow(successor)
            self.latest = self.running
        except TurnError as error:
            parent = request.previous_response_id if isinstance(request, Create) else None
            await self._refuse(Refusal(error, parent))
        finally:
            self.running = None
            self._pending -= 1
            self._stop_next = False

    async def _follow(self, request: Create | Resume | Successor) -> Successor | None:
        """Send all events of a turn; return what is to be followed next, if it was steered."""
        successor: Successor | None = None
        async with await self._following(request) as follower:
            self.running = follower.turn_id
            if isinstance(request, Resume):
                metrics.resumed("websocket", follower)
            if self._stop_next:
                with suppress(BadRequest):  # it has ended already
                    await self._connection.turn_client.cancel(self.running, self._connection.owner)
            async for batch in follower.batches():
                for event in batch:
                    if follower.ended and event is batch[-1]:
                        successor = await self._end(event, follower.turn_id)
                    else:
                        await self._connection.send(with_stream_id(event, self.stream_id))
                # So that they are not kept while the next ones are waited for.
                batch.clear()
        return successor

    async def _end(self, event: bytes, turn_id: str) -> Successor | None:
        """Send what may be a last event, and what became of the input that the turn got."""
        steering = steering_of(event)
        if steering is not None:
            await self._connection.steers.answered()
        await self._connection.send(with_stream_id(event, self.stream_id))
        if steering is None:
            return None
        connection = self._connection
        for frame in await unused(
            event, steering, turn_id, connection.owner, connection.turn_client, self.stream_id
        ):
            await connection.send(frame)
        return Successor(steering.response_id) if steering.response_id else None

    async def _refuse(self, refusal: Refusal) -> None:
        # As clients expect, a response that could not be continued is forgotten, on this lane only.
        if refusal.previous_response_id == self.latest:
            self.latest = None
        await self._connection.send(error_frame(refusal.error, self.stream_id))

    async def _following(
        self, request: Create | Resume | Successor
    ) -> AbstractAsyncContextManager[Follower]:
        turn_client = self._connection.turn_client
        match request:
            case Create() as create:
                turn = await self._connection.turn(create, self._count)
                submit = partial(turn_client.submit, room=self._connection.room)
                return traced(self._connection.traces, turn, submit)
            case Resume(response_id=id, starting_after=after):
                await self._connection.check_response(id)
                return turn_client.follow(
                    id, self._connection.owner, after=after, room=self._connection.room
                )
            case Successor(response_id=id):
                return turn_client.follow(
                    id, self._connection.owner, after=-1, room=self._connection.room
                )

    def _count(self, size: int) -> None:
        """Count the text of an answer that the request names."""
        self._connection.unanswered.grow(self._counted, size)
        self._counted += size
