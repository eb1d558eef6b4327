"""Stored turns: read and delete them. Each owner sees only their own."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import (
    BadRequest,
    ConversationLocked,
    NewerVersion,
    ResponseNotFound,
)
from turnstream.turns.event_json import response_json
from turnstream.turns.lua import Script
from turnstream.turns.record import VERSION
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.turn import FunctionCall, Item, items_from_json


class Stored:
    """A node's client of the records of turns."""

    def __init__(self, client: "redis.asyncio.Redis", calls: RedisCalls, *, alive_ms: int) -> None:
        self._redis = client
        self._calls = calls
        #: How long a silent worker counts as alive.
        self._alive_ms = alive_ms
        self._look = Script(client, "look")
        self._delete = Script(client, "delete")

    async def response(self, turn_id: str, owner: str) -> str:
        """Return the response object of a turn as JSON; while it waits, with its queue place.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            Overloaded: Redis is away.
        """
        call = partial(self._look, id=turn_id, owner=owner, alive_ms=self._alive_ms)
        match await self._calls.reply_to(owner, call):
            case [b"newer_version"]:
                raise NewerVersion(turn_id)
            case [b"ok", *parts]:
                status, error, response, queue = (part.decode() for part in parts)
                return response_json(status, error, response, queue=queue)
            case _:
                raise ResponseNotFound(turn_id)

    async def input_of(self, turn_id: str, owner: str) -> tuple[Item, ...]:
        """Return the input items of a turn.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            Overloaded: Redis is away.
        """
        match await self._record(turn_id, owner, "input", "response"):
            case [bytes(known), bytes(asked), bytes()] if known.decode() == owner:
                return items_from_json(asked)
            case _:
                raise ResponseNotFound(turn_id)

    async def answer(self, turn_id: str, owner: str) -> str:
        """Return the output text of a stored turn.

        Raises:
            ResponseNotFound: this owner has no such turn, it is not stored, or it has no answer.
            Overloaded: Redis is away.
        """
        match await self._record(turn_id, owner, "store", "output"):
            case [bytes(known), b"1", bytes(text)] if known.decode() == owner:
                return text.decode()
            case _:
                raise ResponseNotFound(turn_id)

    async def call(self, turn_id: str, owner: str, number: int) -> FunctionCall:
        """Return a call of a tool in the answer of a stored turn, by its number from 0.

        Raises:
            ResponseNotFound: this owner has no such turn, it is not stored, or has no such call.
            Overloaded: Redis is away.
        """
        match await self._record(turn_id, owner, "store", "calls"):
            case [bytes(known), b"1", bytes(text)] if known.decode() == owner:
                match items_from_json(text)[number : number + 1]:
                    case (FunctionCall() as call,):
                        return call
        raise ResponseNotFound(turn_id)

    async def conversation_of(self, turn_id: str, owner: str) -> str | None:
        """Return the id of the conversation that a turn was made in; None: in none with an id.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            Overloaded: Redis is away.
        """
        match await self._record(turn_id, owner, "conversation"):
            case [bytes(known), conversation] if known.decode() == owner:
                return None if conversation is None else conversation.decode()
            case _:
                raise ResponseNotFound(turn_id)

    async def feed_of(self, turn_id: str, owner: str) -> str:
        """Return the feed that a turn is in: its conversation's, or that of its tree.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            Overloaded: Redis is away.
        """
        match await self._record(turn_id, "owner", "conversation", "root"):
            case [bytes(known), conversation, root] if known.decode() == owner:
                feed: bytes | None = conversation or root
                return turn_id if feed is None else feed.decode()
            case _:
                raise ResponseNotFound(turn_id)

    async def delete(self, turn_id: str, owner: str) -> None:
        """Delete a turn that has ended: its record and its log.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            BadRequest: it is still being answered.
            ConversationLocked: another turn of its conversation is active.
            Overloaded: Redis is away.
        """
        call = partial(self._delete, id=turn_id, owner=owner)
        match await self._calls.reply_to(owner, call):
            case b"newer_version":
                raise NewerVersion(turn_id)
            case b"response_not_found":
                raise ResponseNotFound(turn_id)
            case b"conversation_locked":
                raise ConversationLocked(f"the conversation of response '{turn_id}'")
            case b"response_running":
                raise BadRequest(
                    f"Response '{turn_id}' is still being answered: cancel it first.",
                    code="response_running",
                )

    async def _record(self, turn_id: str, owner: str, *fields: str) -> Any:
        """Read fields of a record: its owner, who need not be the one who asks, and these."""
        wanted = ["version", "owner", *fields]
        call = partial(self._redis.hmget, keys.turn(turn_id), wanted)
        reply = self._calls.reply_to(owner, cast("Callable[[], Awaitable[Any]]", call))
        version, *values = await reply
        if int(version or 0) > VERSION:
            raise NewerVersion(turn_id)
        return values
