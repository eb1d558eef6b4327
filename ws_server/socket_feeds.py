"""The feeds that a socket follows, each under its own `stream_id`."""

import asyncio
from contextlib import suppress
from typing import Protocol

import msgspec
from starlette.websockets import WebSocketDisconnect

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import encode, with_stream_id
from turnstream.turns.feeds import Feed
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.tasks import end
from turnstream.ws_server.connections.counts import Counts
from turnstream.ws_server.feed_bodies import Followed, Unfollowed
from turnstream.ws_server.feed_reader import FeedReader, counted
from turnstream.ws_server.frames import Follow
from turnstream.ws_server.request_errors import TooManyFeeds
from turnstream.ws_server.socket_key import SocketKey
from turnstream.ws_server.unexpected import confined
from turnstream.ws_server.wire import error_frame


class Connection(Protocol):
    """What feeds use of their socket."""

    turn_client: TurnClient
    room: ReaderRoom
    key: SocketKey

    async def send(self, text: str) -> None: ...


class SocketFeeds:
    """Follow conversations until the socket closes."""

    def __init__(self, connection: Connection, owner_feeds: Counts, most: int) -> None:
        self._connection = connection
        self._owner_feeds = owner_feeds
        self._most = most
        self._tasks: dict[str | None, asyncio.Task[None]] = {}

    async def follow(self, request: Follow, stream_id: str | None) -> None:
        """Begin to follow a feed, in place of one of the same name."""
        await self._end(stream_id)
        if len(self._tasks) >= self._most:
            refused = TooManyFeeds("socket", self._most)
            await self._connection.send(error_frame(refused, stream_id))
            return
        task = asyncio.create_task(self._run(request, stream_id), name="feed")
        self._tasks[stream_id] = task
        task.add_done_callback(lambda ended: self._forget(stream_id, ended))

    async def unfollow(self, stream_id: str | None) -> None:
        """Follow a feed no more, and say so."""
        await self._end(stream_id)
        await self._connection.send(encode(Unfollowed(stream_id=_named(stream_id))))

    async def close(self) -> None:
        """End all of them."""
        await end(self._tasks.values())

    async def _end(self, stream_id: str | None) -> None:
        if (task := self._tasks.pop(stream_id, None)) is not None:
            await end([task])

    def _forget(self, stream_id: str | None, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(stream_id) is task:
            del self._tasks[stream_id]

    async def _run(self, request: Follow, stream_id: str | None) -> None:
        async def send(batch: list[bytes], response_id: str | None) -> None:
            for event in batch:
                await self._connection.send(with_stream_id(event, response_id or stream_id))

        async def opened(feed: Feed) -> None:
            followed = Followed(
                conversation=feed.id, newest=feed.newest, stream_id=_named(stream_id)
            )
            await self._connection.send(encode(followed))

        connection = self._connection
        with suppress(WebSocketDisconnect):
            try:
                with confined("a feed on a socket"):
                    visitor = connection.key.current()
                    reader = FeedReader(connection.turn_client, visitor, connection.room, send)
                    with counted(self._owner_feeds, visitor.owner):
                        await reader.run(
                            request.id,
                            after=request.starting_after,
                            responses=request.responses,
                            opened=opened,
                        )
            except TurnError as exc:
                await connection.send(error_frame(exc, stream_id))


def _named(stream_id: str | None) -> str | msgspec.UnsetType:
    return msgspec.UNSET if stream_id is None else stream_id
