"""Conversations with an id: their metadata, and their items, which are those of their turns.

An item is an input message or the answer of a turn; no text is stored twice. An item that is added
by hand is a turn of one message without an answer. See `lua_scripts/last_turn.lua`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import (
    ConversationLocked,
    ConversationNotFound,
    ConversationTooLong,
    NewerVersion,
    RateLimited,
)
from turnstream.turns.history import removed_items
from turnstream.turns.ids import new_response_id, turn_of_item
from turnstream.turns.lua import Script
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.shapes import OutputItem
from turnstream.turns.turn import (
    Item,
    can_be_answered,
    items_from_json,
    items_to_json,
    spoken_at,
)

#: After how long a client is told to try again whose owner has stored all that it may.
FULL_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation without its items."""

    id: str
    #: Seconds since 1970.
    created_at: int
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnItems:
    """What a turn adds to its conversation, without what was removed from it."""

    turn_id: str
    #: Its input items, with the number of each in the turn's input.
    asked: tuple[tuple[int, Item], ...]
    answers: tuple[OutputItem, ...]


class Conversations:
    """A node's client of conversations. Each owner sees only their own."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        settings: TurnSettings,
        limits: CurrentLimits,
    ) -> None:
        self._redis = client
        self._calls = calls
        self._settings = settings
        self._limits = limits
        self._life = {
            "store_seconds": settings.store_seconds,
            "unstored_seconds": settings.unstored_seconds,
        }
        self._add = Script(client, "conversation_add")
        self._read = Script(client, "conversation_read")
        self._update = Script(client, "conversation_update")
        self._delete = Script(client, "conversation_delete")
        self._remove = Script(client, "conversation_remove")

    async def create(self, conversation: Conversation, owner: str, items: Sequence[Item]) -> None:
        """Create a conversation that begins with these items.

        Raises:
            ConversationTooLong: it would have too many bytes or items.
            RateLimited: the owner has stored all that it may.
            Overloaded: Redis is away.
        """
        await self._append(conversation.id, owner, items, conversation)

    async def add(self, id: str, owner: str, items: Sequence[Item]) -> tuple[TurnItems, ...]:
        """Add items at the end of a conversation, and return them.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            ConversationLocked: a turn of it is active.
            ConversationTooLong: it would have too many bytes or turns; each item counts as one.
            RateLimited: the owner has stored all that it may.
            Overloaded: Redis is away.
        """
        return await self._append(id, owner, items, None)

    async def _append(
        self, id: str, owner: str, items: Sequence[Item], created: Conversation | None
    ) -> tuple[TurnItems, ...]:
        turns = [(new_response_id(), item) for item in items]
        call = partial(
            self._add,
            id=id,
            owner=owner,
            created_at=created.created_at if created else None,
            turns=[
                {
                    "id": turn_id,
                    "asks": _speaks(item) and can_be_answered(item),
                    "spoken": _speaks(item),
                }
                for turn_id, item in turns
            ],
            **self._life,
            **self._settings.conversation,
            stored_bytes=self._limits.of(owner).stored_bytes,
            payloads=[
                msgspec.json.encode(created.metadata if created else {}),
                *(items_to_json((item,)) for item in items),
            ],
        )
        match await self._calls.reply_to(owner, call):
            case b"too_many_bytes":
                raise ConversationTooLong(f"{self._settings.conversation_bytes} bytes")
            case b"too_many_turns":
                raise ConversationTooLong(f"{self._settings.conversation_turns} turns")
            case b"limited":
                most = self._limits.of(owner).stored_bytes
                raise RateLimited("stored_bytes", most, FULL_MS)
            case word:
                _check(word, id)
        return tuple(
            TurnItems(turn_id=turn_id, asked=((0, item),), answers=()) for turn_id, item in turns
        )

    async def get(self, id: str, owner: str) -> Conversation:
        """Return a conversation.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            Overloaded: Redis is away.
        """
        return (await self._chain(id, owner, with_turns=False))[0]

    async def turns(self, id: str, owner: str) -> list[str]:
        """Return the ids of a conversation's turns, latest first, without one that is active.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            Overloaded: Redis is away.
        """
        return (await self._chain(id, owner, with_turns=True))[1]

    async def _chain(
        self, id: str, owner: str, *, with_turns: bool
    ) -> tuple[Conversation, list[str]]:
        call = partial(self._read, id=id, owner=owner, with_turns=with_turns, **self._life)
        match await self._calls.reply_to(owner, call):
            case [b"ok", created_at, metadata, turns]:
                conversation = Conversation(
                    id=id,
                    created_at=int(created_at),
                    metadata=msgspec.json.decode(metadata, type=dict[str, str]),
                )
                return conversation, [turn.decode() for turn in turns]
            case [word]:
                _check(word, id)
        raise AssertionError("conversation_read.lua returned an unknown reply")

    async def items(self, turn_ids: Sequence[str], owner: str) -> list[TurnItems]:
        """Return the items of turns, which are known to be the owner's; deleted ones have none.

        Raises:
            Overloaded: Redis is away.
        """
        pipe = self._redis.pipeline(transaction=False)
        for turn_id in turn_ids:
            pipe.hmget(keys.turn(turn_id), ["input", "response", "removed"])
        found = await self._calls.reply_to(owner, pipe.execute)
        return [_items(turn_id, *values) for turn_id, values in zip(turn_ids, found, strict=True)]

    async def update(self, id: str, owner: str, metadata: dict[str, str]) -> None:
        """Set the metadata of a conversation.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            Overloaded: Redis is away.
        """
        payloads = [msgspec.json.encode(metadata)]
        call = partial(self._update, id=id, owner=owner, payloads=payloads)
        _check(await self._calls.reply_to(owner, call), id)

    async def delete(self, id: str, owner: str) -> None:
        """Delete a conversation and what only it holds; stored responses stay.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            ConversationLocked: a turn of it is active.
            Overloaded: Redis is away.
        """
        call = partial(self._delete, id=id, owner=owner)
        _check(await self._calls.reply_to(owner, call), id)

    async def remove(self, id: str, owner: str, turn_id: str, item: str, item_id: str) -> bool:
        """Remove an item, and return whether there was one.

        Args:
            item: what the turn's record calls it, see `turns.ids.turn_of_item`.
            item_id: its whole id, which the conversation's feed tells.

        Raises:
            ConversationNotFound: there is no such conversation for this owner.
            ConversationLocked: a turn of it is active.
            Overloaded: Redis is away.
        """
        call = partial(self._remove, id=id, owner=owner, turn=turn_id, item=item, item_id=item_id)
        reply = await self._calls.reply_to(owner, call)
        if reply == b"item_not_found":
            return False
        _check(reply, id)
        return True


def _speaks(item: Item) -> bool:
    return spoken_at((item,)) is not None


class _Answered(msgspec.Struct, frozen=True):
    output: tuple[OutputItem, ...] = ()


def _items(
    turn_id: str, asked: bytes | None, response: bytes | None, removed: bytes | None
) -> TurnItems:
    left_out = removed_items(removed or b"")
    output: tuple[OutputItem, ...] = ()
    if response is not None:
        output = msgspec.json.decode(b"{" + response, type=_Answered).output
    given = enumerate(items_from_json(asked or "[]"))
    return TurnItems(
        turn_id=turn_id,
        asked=tuple((n, item) for n, item in given if str(n) not in left_out),
        answers=tuple(item for item in output if _name(item) not in left_out),
    )


def _name(item: OutputItem) -> str:
    _, name = turn_of_item(item.id) or ("", "")
    return name


def _check(word: Any, id: str) -> None:
    match word:
        case b"ok":
            return
        case b"conversation_locked":
            raise ConversationLocked(f"conversation '{id}'")
        case b"newer_version":
            raise NewerVersion(id)
        case _:
            raise ConversationNotFound(id)
