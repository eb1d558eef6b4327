"""`GET /v1/conversations/ID/feed`: follow a conversation over HTTP, as server-sent events.

Entries have ids, so that an `EventSource` that reconnects goes on after the last one by itself.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from turnstream.turns.errors import TurnError
from turnstream.turns.event_json import with_stream_id
from turnstream.turns.feed_shapes import Cursor
from turnstream.turns.feeds import Feed
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.tasks import end
from turnstream.ws_server import field
from turnstream.ws_server.event_stream import STILL_HERE
from turnstream.ws_server.feed_reader import FeedReader, counted, cursor_of
from turnstream.ws_server.frames import feed_id
from turnstream.ws_server.socket_key import SocketKey
from turnstream.ws_server.state import NodeState, admit_visitor
from turnstream.ws_server.unexpected import confined
from turnstream.ws_server.visitor import Visitor
from turnstream.ws_server.wire import error_frame, server_sent


async def follow_conversation(request: Request) -> Response:
    """Follow a conversation, or the tree of a response, from an entry on."""
    state, visitor = await admit_visitor(request)
    query = request.query_params
    after = _starting_after(query.get("starting_after", request.headers.get("last-event-id")))
    responses = field.word(query, "responses", "true", ("true", "false")) == "true"
    id = feed_id(request.path_params["id"])
    if request.method == "HEAD":
        # Of a stream there is only its head: whether it exists, and what it is.
        async with state.turn_client.feeds.follow(id, visitor.owner, after=-1) as feed:
            visitor.check_feed(feed.id)
        return Response(media_type="text/event-stream", headers={"cache-control": "no-cache"})
    return FeedStream(state, visitor, id, after=after, responses=responses)


def _starting_after(text: str | None) -> int | str:
    # -1 is as on the socket: from the first entry that is kept.
    if text == "-1":
        return -1
    if text is None or "-" not in text:
        return field.starting_after(text)
    try:
        return msgspec.convert(text, Cursor)
    except msgspec.ValidationError as exc:
        raise field.wrong("starting_after", "the number or the cursor of an entry") from exc


class FeedStream(Response):
    """An answer that lasts until the conversation is deleted, the key ends, or for as long as a
    socket may last."""

    def __init__(
        self, state: NodeState, visitor: Visitor, id: str, *, after: int | str, responses: bool
    ) -> None:
        super().__init__()
        self._state = state
        self._visitor = visitor
        self._id = id
        self._after = after
        self._responses = responses
        #: What is to be sent next; one at a time, as the client reads. None: the end.
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._opened = asyncio.Event()
        self._error: TurnError | None = None
        self._reading: asyncio.Task[None] | None = None
        self.key = SocketKey(visitor, self._say_nothing, self._key_ended)

    def close(self) -> None:
        """End the stream; its client reconnects."""
        if self._reading is not None:
            self._reading.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._reading = asyncio.create_task(self._read(), name="feed stream")
        self._state.feed_streams.add(self)
        try:
            # An error before the first entry gets a status of its own.
            await self._opened.wait()
            if self._error is not None:
                raise self._error
            stream = StreamingResponse(
                self._written(self._reading),
                media_type="text/event-stream",
                headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
            )
            await stream(scope, receive, send)
        finally:
            self._state.feed_streams.discard(self)
            await end([self._reading])

    async def _written(self, reading: "asyncio.Task[None]") -> AsyncIterator[bytes]:
        # So that clients see at once that it has begun.
        yield STILL_HERE
        while not (reading.done() and self._chunks.empty()):
            chunk = asyncio.ensure_future(self._chunks.get())
            await asyncio.wait({chunk, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not chunk.done():
                await end([chunk])
            elif (text := chunk.result()) is not None:
                yield text

    async def _read(self) -> None:
        state, visitor = self._state, self._visitor
        reader = FeedReader(state.turn_client, visitor, ReaderRoom(), self._send)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds()):
                    with confined("a feed"), counted(state.owner_feeds, visitor.owner):
                        await reader.run(
                            self._id,
                            after=self._after,
                            responses=self._responses,
                            opened=self._begin,
                        )
        except TurnError as exc:
            if self._opened.is_set():
                await self._chunks.put(server_sent(error_frame(exc, None).encode()))
            else:
                self._error = exc
        finally:
            self._opened.set()

    async def _begin(self, feed: Feed) -> None:
        self._opened.set()

    async def _send(self, batch: list[bytes], response_id: str | None) -> None:
        if not batch:
            text = STILL_HERE
        elif response_id is None:
            text = b"".join(
                f"id: {cursor_of(entry)}\n".encode() + server_sent(entry) for entry in batch
            )
        else:
            text = b"".join(
                server_sent(event, with_stream_id(event, response_id).encode()) for event in batch
            )
        await self._chunks.put(text)

    def _seconds(self) -> float:
        """Return how long it may last."""
        key, most = self._visitor.key, float(self._state.socket_limits.seconds)
        if key is None or key.expires_at is None:
            return most
        return min(most, max(0.0, key.expires_at - time.time()))

    async def _say_nothing(self, text: str) -> None:
        """A stream can't get another token, so it ends with its own."""

    async def _key_ended(self, code: int, reason: str) -> None:
        self.close()
