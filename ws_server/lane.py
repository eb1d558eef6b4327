"""One lane of a socket: its requests in order, one after the other, each answered to its end.

A lane's refusals stand in its line too: clients tell answers apart by order alone, so nothing of a
second request may be said before the first has ended.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.websockets import WebSocketDisconnect

from turns.errors import Overloaded, TurnError
from turns.follower import Follower
from turns.front import Front
from turns.turn import Turn
from ws_server.create import Create
from ws_server.frames import Resume
from ws_server.wire import error_frame, on_lane

#: Requests that may wait on one lane; one more is refused.
WAITING = 32
#: Refusals may wait beyond that; a client that has so many waiting is cut off.
REFUSALS = 32


#: What stands in a lane's line.
Request = Create | Resume | TurnError


class Connection(Protocol):
    """What a lane needs of its socket."""

    front: Front
    #: Keeps the number of turns in flight on all lanes within bounds.
    in_flight: asyncio.Semaphore
    owner: str

    async def send(self, text: str) -> None: ...

    async def turn(self, create: Create) -> Turn: ...


class TooManyWaiting(Exception):
    """The client sends more than it waits for."""


class Lane:
    """Answers the requests of one `stream_id`."""

    def __init__(self, connection: Connection, stream_id: str | None) -> None:
        self.stream_id = stream_id
        #: The turn being answered.
        self.running: str | None = None
        #: The last turn answered, which this socket can go on from even if it is not stored.
        self.latest: str | None = None
        self._connection = connection
        self._inbox: asyncio.Queue[Request] = asyncio.Queue(WAITING + REFUSALS)

    def put(self, request: Request) -> None:
        """Put a request, or its refusal, in line; never waits.

        Raises:
            TooManyWaiting: even refusals have no room any more.
        """
        if not isinstance(request, TurnError) and self._inbox.qsize() >= WAITING:
            request = Overloaded(f"{WAITING} requests wait on this lane already.")
        try:
            self._inbox.put_nowait(request)
        except asyncio.QueueFull as exc:
            raise TooManyWaiting from exc

    async def run(self) -> None:
        """Answer for as long as the socket lives."""
        try:
            while True:
                match await self._inbox.get():
                    case TurnError() as refusal:
                        await self._connection.send(error_frame(refusal, self.stream_id))
                    case request:
                        async with self._connection.in_flight:
                            await self._answer(request)
        except WebSocketDisconnect:
            return

    async def _answer(self, request: Create | Resume) -> None:
        try:
            async with await self._following(request) as follower:
                self.running = follower.turn_id
                async for batch in follower.batches():
                    for event in batch:
                        await self._connection.send(on_lane(event, self.stream_id))
            self.latest = self.running
        except TurnError as refusal:
            # What can't be gone on from is forgotten, as clients expect.
            if isinstance(request, Create) and request.previous_response_id == self.latest:
                self.latest = None
            await self._connection.send(error_frame(refusal, self.stream_id))
        finally:
            self.running = None

    async def _following(self, request: Create | Resume) -> AbstractAsyncContextManager[Follower]:
        front = self._connection.front
        match request:
            case Create() as create:
                return front.submit(await self._connection.turn(create))
            case Resume(response_id=id, starting_after=after):
                return front.follow(id, self._connection.owner, after=after)
