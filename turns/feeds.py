"""Feeds: what happens in a conversation, told to whoever follows it, each entry once.

An entry is a numbered event like those of a turn, so a feed is read by the same `Follower`: from
the list in Redis, then live. See `lua_scripts/feed.lua`.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis.asyncio

from turnstream.turns.errors import (
    ConversationNotFound,
    NewerVersion,
    ResponseNotFound,
    StreamExpired,
)
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.feed_shapes import ConversationGone, number_of
from turnstream.turns.follower import Follower, Page, ReadLog
from turnstream.turns.lua import Script
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings

#: How long a node gets what is published without renewing that it follows.
LEASE_MS = 30_000
#: How often it renews that.
RENEW_SECONDS = 10.0
#: Bytes of entries that a reader has in memory: live ones, and as many of a page of the list.
READER_BYTES = 8 * 1024
#: Feeds that are renewed in one call.
RENEWED_AT_ONCE = 200
_DELETED = b"turnstream:conversation.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed that is being followed."""

    #: The conversation's id, or that of the first turn of a tree.
    id: str
    #: Number of the newest entry when it was opened.
    newest: int
    #: Number of the entry after which the reader wants all; and the turns that were active then.
    since: int
    active: tuple[str, ...]
    follower: Follower


class Feeds:
    """A node's client of feeds. Each owner follows only their own."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        relay: Relay,
        settings: TurnSettings,
        *,
        node: str,
    ) -> None:
        self._calls = calls
        self._relay = relay
        self._follow = Script(client, "feed_follow")
        self._renew = Script(client, "feed_renew")
        self._node = node
        self._arguments = {
            "node": node,
            "bytes": READER_BYTES,
            "lease_ms": LEASE_MS,
            "store_seconds": settings.store_seconds,
            "unstored_seconds": settings.unstored_seconds,
        }
        #: How many readers each feed has here.
        self._open: Counter[str] = Counter()
        self._renewed_at = float("-inf")

    @asynccontextmanager
    async def follow(self, id: str, owner: str, *, after: int | str) -> AsyncIterator[Feed]:
        """Follow a feed from the entry after `after`.

        Args:
            id: of a conversation, or of any response of a tree of turns.
            after: the number of an entry, or its cursor; -1: from the first that is kept.

        Raises:
            ConversationNotFound, ResponseNotFound: the owner has none.
            StreamExpired: there is no such entry, or it is not kept any more.
            Overloaded: Redis is away.
        """
        match await self._read(owner, id=id, after=after):
            case [b"ok", feed_id, first, newest, _, active]:
                feed_id = feed_id.decode()
            case [word]:
                raise _refusal(word, id)
        number = first - 1 if after == -1 else number_of(after)
        follower = Follower(
            f"feed:{feed_id}",
            after=number,
            read=self._reader(feed_id, owner, {number: after} if after != -1 else {}),
            # Not the room of its connection: while an entry waits for a response to be read to its
            # end, the response's reader has to find room there.
            room=ReaderRoom(live_bytes=READER_BYTES),
            lost=lambda _: StreamExpired(feed_id, "conversation"),
        )
        self._open[feed_id] += 1
        self._relay.add(follower)
        try:
            await follower.open()
            yield Feed(
                id=feed_id,
                newest=newest,
                since=newest if after == -1 else number,
                active=tuple(turn.decode() for turn in active),
                follower=follower,
            )
        finally:
            self._relay.remove(follower)
            follower.close()
            self._open[feed_id] -= 1
            if not self._open[feed_id]:
                del self._open[feed_id]

    async def renew(self) -> None:
        """Note in Redis that this node still follows its feeds; to be called often.

        Raises:
            Overloaded: Redis is away.
        """
        if (now := time.monotonic()) - self._renewed_at < RENEW_SECONDS:
            return
        feeds = list(self._open)
        for start in range(0, len(feeds), RENEWED_AT_ONCE):
            some = feeds[start : start + RENEWED_AT_ONCE]
            await self._calls.reply(self._renew(feeds=some, node=self._node, lease_ms=LEASE_MS))
        self._renewed_at = now

    async def _read(self, owner: str, **arguments: Any) -> Any:
        call = partial(self._follow, owner=owner, **arguments, **self._arguments)
        return await self._calls.reply_to(owner, call)

    def _reader(self, feed: str, owner: str, cursors: Mapping[int, int | str]) -> ReadLog:
        async def read(_: str, after: int) -> Page:
            match await self._read(owner, feed=feed, after=cursors.get(after, after)):
                case [b"ok", _, _, newest, entries, _]:
                    more = after + len(entries) < newest
                    ends = bool(entries) and event_type(entries[-1]) == _DELETED
                    return Page(entries, ends=ends and not more, more=more)
                case [b"deleted"]:
                    # Its last entries are not kept any more.
                    gone = ConversationGone(sequence_number=after + 1, conversation=feed)
                    return Page([encode(gone).encode()], ends=True, from_record=True)
                case [word]:
                    raise _refusal(word, feed)
            raise AssertionError("feed_follow.lua returned an unknown reply")

        return read


def _refusal(word: bytes, id: str) -> Exception:
    match word:
        case b"newer_version":
            return NewerVersion(id)
        case b"response_not_found":
            return ResponseNotFound(id)
        case b"stream_expired":
            return StreamExpired(id, "conversation")
        case _:
            return ConversationNotFound(id)
