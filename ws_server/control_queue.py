"""The control queue of a socket: cancels, steers, feeds, and messages that no lane orders."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from turnstream.turns.errors import BadRequest, ResponseNotFound, TurnError
from turnstream.ws_server.frames import Follow, Refusal, Steer, Unfollow
from turnstream.ws_server.lane import Connection, Lane
from turnstream.ws_server.socket_feeds import SocketFeeds
from turnstream.ws_server.unexpected import confined
from turnstream.ws_server.wire import error_frame

#: Size of the queue; a client that exceeds it is disconnected.
MOST = 64


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel a turn; an error is sent on the lane that asked, in order."""

    lane: Lane
    response_id: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    text: str
    #: Bytes of the request that it answers, if they were counted.
    size: int = 0


@dataclass(frozen=True, slots=True)
class Add:
    """Add input to a running response; the answer is sent on the lane `stream_id`."""

    steer: Steer
    stream_id: str | None
    #: Bytes that it was counted for.
    size: int


@dataclass(frozen=True, slots=True)
class Renew:
    """Go on with another token; an error is sent on the lane that it names."""

    token: str
    stream_id: str | None


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow a feed, or follow it no more."""

    request: Follow | Unfollow
    stream_id: str | None


Command = Stop | Say | Add | Renew | Watch


class ControlQueue:
    """Execute commands one after the other."""

    def __init__(self, connection: Connection, feeds: SocketFeeds) -> None:
        self._connection = connection
        self._feeds = feeds
        self._waiting: asyncio.Queue[Command] | None = None
        self._begin: Callable[[], None] | None = None

    def begin_with(self, begin: Callable[[], None]) -> None:
        """Call this at the first command, to run the queue: most sockets never need it."""
        self._begin = begin

    def put(self, command: Command) -> None:
        """Add a command without waiting.

        Raises:
            asyncio.QueueFull: too many commands wait.
        """
        if self._waiting is None:
            self._waiting = asyncio.Queue(MOST)
            if self._begin is not None:
                self._begin()
        self._waiting.put_nowait(command)

    async def run(self) -> None:
        """Execute commands until the client disconnects.

        Raises:
            WebSocketDisconnect: the client has disconnected.
            TooManyWaiting: a lane has no room for the error of a cancel.
        """
        assert self._waiting is not None
        while True:
            match await self._waiting.get():
                case Say(text=text, size=size):
                    await self._connection.send(text)
                    self._connection.unanswered.remove(size)
                case Add(steer=steer, stream_id=stream_id, size=size):
                    try:
                        answer = await self._connection.steer(steer, stream_id)
                        await self._connection.send(answer)
                    finally:
                        self._connection.steers.remove()
                    self._connection.unanswered.remove(size)
                case Renew(token=token, stream_id=stream_id):
                    await self._renew(token, stream_id)
                case Watch(request=Follow() as follow, stream_id=stream_id):
                    await self._feeds.follow(follow, stream_id)
                case Watch(stream_id=stream_id):
                    await self._feeds.unfollow(stream_id)
                case Stop(lane=lane, response_id=id):
                    await self._stop(lane, id)

    async def _renew(self, token: str, stream_id: str | None) -> None:
        try:
            with confined("a refreshed token"):
                await self._connection.refresh(token)
        except TurnError as exc:
            await self._connection.send(error_frame(exc, stream_id))

    async def _stop(self, lane: Lane, response_id: str) -> None:
        try:
            with confined("a cancel"):
                await self._connection.check_response(response_id, changes=True)
                await self._connection.turn_client.cancel(response_id, self._connection.owner)
        except ResponseNotFound:
            # The same error whether it has ended, never existed, or belongs to another owner.
            ended = f"Response '{response_id[:80]}' is not being answered."
            lane.put(Refusal(BadRequest(ended, code="response_not_active", param="response_id")))
        except TurnError as exc:
            lane.put(Refusal(exc))
