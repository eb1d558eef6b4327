"""What happens in a conversation, as its reader sees it: every entry once and in order.

Like a turn it is not bound to a socket: a new one is asked for what has not arrived, and so is the
service when a reader was too slow for what had.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, Self

from turnstream.client.errors import ClientError, RequestRefused, refusal
from turnstream.client.event import Json

#: Entries that wait for the reader.
MOST_WAITING = 2048
_PREFIX = "turnstream:conversation."


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """Something that happened in a conversation."""

    #: `opened`, `response.created`, `response.ended`, `response.deleted`, `item.created`,
    #: `item.deleted` or, as the last one, `deleted`.
    type: str
    #: 0 for a feed's first entry, then one more each time.
    sequence_number: int
    #: Of this very entry: `follow` continues after it.
    cursor: str | None
    #: The conversation's id, or that of the first response of a tree.
    conversation: str
    response_id: str | None
    previous_response_id: str | None
    item_id: str | None
    #: Of a response that has ended.
    status: str | None
    data: Json = field(repr=False)

    @classmethod
    def of(cls, data: Json) -> Self:
        """Return what an entry's JSON says."""
        return cls(
            type=data["type"].removeprefix(_PREFIX),
            sequence_number=data["sequence_number"],
            cursor=data.get("cursor"),
            conversation=data["conversation"],
            response_id=data.get("response_id"),
            previous_response_id=data.get("previous_response_id"),
            item_id=data.get("item_id"),
            status=data.get("status"),
            data=data,
        )


class Watches(Protocol):
    """What a feed uses of its connection."""

    retry_seconds: float

    async def watch(self, feed: "AsyncFeed") -> None:
        """Send what gets the rest of a feed, now or after the next reconnect."""

    async def unwatch(self, feed: "AsyncFeed") -> None:
        """Want no more of a feed."""


class AsyncFeed:
    """A conversation that is followed; it has one reader."""

    def __init__(self, connection: Watches, id: str, after: int | str) -> None:
        number = after if isinstance(after, int) else int(after.partition("-")[0])
        #: The conversation's id, or that of a response, as it was given.
        self.id = id
        #: The cursor of the last entry that was read, or its number if it has none: `follow`
        #: continues after it.
        self.cursor = after
        #: The number of the last entry that was read.
        self.sequence_number = number
        self._connection = connection
        self._arrived: deque[FeedEntry] = deque()
        #: The last entry that arrived: its number, and what the next frame asks to continue after.
        self._last, self._last_cursor = number, after
        #: Whether it was followed at all.
        self._known = False
        #: Entries after the last one were dropped.
        self._behind = False
        self._ended = False
        #: A refusal that a retry may cure; when it first came, and when the next attempt is due.
        self._refusal: RequestRefused | None = None
        self._refused_at = (0.0, 0.0)
        self._error: ClientError | None = None
        self._wake = asyncio.Event()

    async def entries(self) -> AsyncIterator[FeedEntry]:
        """Yield the entries, until the conversation is deleted or this is closed.

        Raises:
            RequestRefused: it can't be followed; `stream_expired`: entries before the next one are
                not kept any more.
            Unreachable, ClientClosed
        """
        while (entry := await self.next()) is not None:
            yield entry

    async def close(self) -> None:
        """Follow it no more; its reader ends."""
        self._ended = True
        self._arrived.clear()
        self._wake.set()
        await self._connection.unwatch(self)

    async def next(self) -> FeedEntry | None:
        """Return the next entry; None after the last.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        await self.wait()
        return self.pop()

    async def wait(self) -> None:
        """Wait until `pop` has the next entry or the end; nothing is lost if this is cancelled.

        Raises:
            RequestRefused, Unreachable, ClientClosed
        """
        while not (self._arrived or self._ended):
            if self._error is not None:
                raise self._error
            if self._refusal is not None:
                await self._retry(self._refusal)
            elif self._behind:
                await self._connection.watch(self)
            else:
                self._wake.clear()
                await self._wake.wait()

    def pop(self) -> FeedEntry | None:
        """Return the next entry without waiting; None if there is none."""
        if not self._arrived:
            return None
        entry = self._arrived.popleft()
        self.sequence_number, self.cursor = entry.sequence_number, _cursor_of(entry)
        return entry

    async def _retry(self, refused: RequestRefused) -> None:
        first, at = self._refused_at
        if at - first > self._connection.retry_seconds:
            self.fail(refused)
            return
        await asyncio.sleep(at - time.monotonic())
        await self._connection.watch(self)

    def frame(self) -> Json:
        """Return the frame that gets all that has not arrived."""
        self._behind, self._refusal = False, None
        return {
            "type": f"{_PREFIX}follow",
            "conversation": self.id,
            "starting_after": self._last_cursor,
            # Turns are resumed on lanes of their own, by who wants them.
            "responses": False,
        }

    def receive(self, data: Json) -> bool:
        """Take what the connection has for it; return whether more may come."""
        if data["type"] == "error":
            self._refuse(data)
        elif data["type"] == f"{_PREFIX}followed":
            self._known, self._refused_at = True, (0.0, 0.0)
        elif data.get("sequence_number", -1) > self._last and not self._behind:
            self._take(data)
        self._wake.set()
        return not self._ended and self._error is None

    def fail(self, error: ClientError) -> None:
        """Raise an error in the reader, after the entries that have arrived."""
        self._error, self._refusal = error, None
        self._wake.set()

    def _take(self, data: Json) -> None:
        if len(self._arrived) >= MOST_WAITING:
            self._behind = True
            return
        entry = FeedEntry.of(data)
        self._last, self._last_cursor = entry.sequence_number, _cursor_of(entry)
        self._arrived.append(entry)
        self._ended = entry.type == "deleted"

    def _refuse(self, data: Json) -> None:
        error = refusal(data, data.get("status", 500), data.get("headers") or {})
        if error.status == 404 and self._known:
            # It was there, and was deleted while nobody listened.
            number = self._last + 1
            gone = {"type": f"{_PREFIX}deleted", "sequence_number": number, "conversation": self.id}
            self._take(gone)
            self._ended = True
        elif error.retry_after is None:
            self.fail(error)
        else:
            now = time.monotonic()
            self._refused_at = (self._refused_at[0] or now, now + error.retry_after)
            self._refusal = error


def _cursor_of(entry: FeedEntry) -> int | str:
    return entry.sequence_number if entry.cursor is None else entry.cursor
