"""Read a feed, and the events of the responses that run meanwhile.

The entries come in their order. Each response has a task, since several branches of a tree may run
at once; the entry that says that a response has ended comes after its last event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from functools import partial

import msgspec
from starlette.websockets import WebSocketDisconnect

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import ConversationNotFound, ResponseNotFound, TurnError
from turnstream.turns.feeds import Feed
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.tasks import end
from turnstream.ws_server.connections.counts import Counts
from turnstream.ws_server.request_errors import TooManyFeeds
from turnstream.ws_server.unexpected import confined
from turnstream.ws_server.visitor import Visitor

#: Responses of one feed whose events are read at a time; of further ones only the entries come.
MOST_RESPONSES = 8

#: Sends entries, or the events of the response that is named; an empty batch means that there was
#: nothing for a while.
Send = Callable[[list[bytes], str | None], Awaitable[None]]


class _Entry(msgspec.Struct, frozen=True):
    type: str
    sequence_number: int
    cursor: str | None = None
    response_id: str | None = None


_decode = msgspec.json.Decoder(_Entry).decode


def cursor_of(entry: bytes) -> str:
    """Return the cursor of an entry; the number of one that has none."""
    read = _decode(entry)
    return read.cursor or str(read.sequence_number)


@contextmanager
def counted(owner_feeds: Counts, owner: str) -> Iterator[None]:
    """Count one more feed of an owner until the block ends.

    Raises:
        TooManyFeeds: the owner follows enough.
    """
    if not owner_feeds.take(owner):
        raise TooManyFeeds("key's owner", owner_feeds.most)
    try:
        yield
    finally:
        owner_feeds.release(owner)


class FeedReader:
    """One reader of a feed."""

    def __init__(
        self, turn_client: TurnClient, visitor: Visitor, room: ReaderRoom, send: Send
    ) -> None:
        self._turn_client = turn_client
        self._visitor = visitor
        self._room = room
        self._send = send
        self._responses: dict[str, asyncio.Task[None]] = {}

    async def run(
        self,
        id: str,
        *,
        after: int | str,
        responses: bool,
        opened: Callable[[Feed], Awaitable[None]],
    ) -> None:
        """Read from the entry after `after` on, until the feed ends.

        Args:
            after: the cursor of an entry, or its number.
            responses: whether the events of its responses are wanted: of those that had not ended
                by entry `after`; from the beginning of those that run.
            opened: called before the first entry.

        Raises:
            BoundToken: the visitor's key is bound to something else.
            ConversationNotFound, ResponseNotFound: the visitor has none.
            StreamExpired: there is no such entry, or it is not kept any more.
            Overloaded: Redis is away.
        """
        owner, feeds = self._visitor.owner, self._turn_client.feeds
        try:
            async with feeds.follow(id, owner, after=after) as feed:
                self._visitor.check_feed(feed.id)
                await opened(feed)
                for turn_id in feed.active if responses else ():
                    self._begin(turn_id)
                async with aclosing(feed.follower.batches()) as batches:
                    async for batch in batches:
                        if not batch:
                            await self._send([], None)
                        for text in batch:
                            await self._take(text, after=feed.since if responses else None)
        except (ConversationNotFound, ResponseNotFound):
            # A bound key learns nothing of others.
            self._visitor.check_feed(id)
            raise
        finally:
            await end(self._responses.values())

    async def _take(self, text: bytes, *, after: int | None) -> None:
        """Send an entry; follow a response that was made after number `after`."""
        entry = _decode(text)
        id = entry.response_id or ""
        running = self._responses.get(id)
        if running is not None:
            await asyncio.wait({running})
        await self._send([text], None)
        made = entry.type == "turnstream:conversation.response.created"
        if made and after is not None and entry.sequence_number > after:
            self._begin(id)

    def _begin(self, turn_id: str) -> None:
        if len(self._responses) < MOST_RESPONSES:
            task = asyncio.create_task(self._read(turn_id), name="feed response")
            self._responses[turn_id] = task
            task.add_done_callback(lambda _: self._responses.pop(turn_id, None))

    async def _read(self, turn_id: str) -> None:
        # Its entry tells how it ended, also where its events can't be read.
        with suppress(TurnError, WebSocketDisconnect), confined("a response of a feed"):
            follow = partial(self._turn_client.follow, after=-1, room=self._room)
            async with (
                follow(turn_id, self._visitor.owner) as follower,
                aclosing(follower.batches()) as batches,
            ):
                async for batch in batches:
                    if batch:
                        await self._send(batch, turn_id)
