"""A node's client of steering: queue input for a running turn, and read what became of it.

The script that ends the turn creates its successor, `lua_scripts/steering.lua`: what is prepared
here is all of the successor that can be known before.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import (
    BadRequest,
    ConversationTooLong,
    NewerVersion,
    ResponseNotFound,
)
from turnstream.turns.ids import new_response_id, new_steer_id
from turnstream.turns.limits import cost_of
from turnstream.turns.lua import Script
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.record import VERSION
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.response import successor_response, unclaimed_response
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import limit_reached, today
from turnstream.turns.turn import Item, Request, Tier, items_to_json

_MESSAGES = {
    "response_already_completed": "The response has ended: continue it with 'response.create'.",
    "response_not_active": "The response failed or was cancelled, so nothing goes on from it.",
    "steering_not_supported": "A raw prompt and a line of a batch can't be steered.",
    "too_many_pending_steers": "Too much input waits for this response already.",
}


class SteerRefused(BadRequest):
    """Input was not taken, or was given back."""

    def __init__(self, code: str, message: str = "", *, steer_id: str | None = None) -> None:
        super().__init__(message or _MESSAGES[code], code=code)
        #: The id that it has, if it was taken at first.
        self.steer_id = steer_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A turn that is to be steered, as it was when it was looked up."""

    id: str
    owner: str
    tier: Tier
    status: str
    request: Request
    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """Input for a running turn."""

    items: tuple[Item, ...]
    #: JSON, as it was sent.
    input: str
    #: What is sent again under the same key is the same steer.
    key: str
    api_key: str = ""
    #: As `turns.turn.Turn` has it.
    requests_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class QueuedSteer:
    """Input whose turn has ended and that no turn has taken."""

    id: str
    #: JSON, as it was sent.
    input: str


class Steering:
    """Steers the turns of a node's clients. Each owner reaches only their own."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        settings: TurnSettings,
        limits: CurrentLimits,
    ) -> None:
        self._redis = client
        self._calls = calls
        self._settings, self._limits = settings, limits
        self._steer = Script(client, "steer")

    async def target(self, id: str, owner: str) -> Target:
        """Return a turn that is to be steered.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            SteerRefused: it is one that can't be steered.
            Overloaded: Redis is away.
        """
        names = ("version", "owner", "tier", "status", "request", "response", "batch")
        read_turn = partial(cast(Any, self._redis).hmget, keys.turn(id), list(names))
        values = await self._calls.reply_to(owner, read_turn)
        version, known, tier, status, request, response, batch = values
        if int(version or 0) > VERSION:
            raise NewerVersion(id)
        if known is None or known.decode() != owner or response is None:
            raise ResponseNotFound(id)
        read = Request.from_json(request)
        if read.raw or batch is not None:
            raise SteerRefused("steering_not_supported")
        return Target(
            id=id,
            owner=owner,
            tier=tier.decode(),
            status=status.decode(),
            request=read,
            response=response.decode(),
        )

    async def steer(self, target: Target, steer: Steer) -> str:
        """Queue input for a turn and return the id that it has from then on.

        Raises:
            SteerRefused: the turn takes no more input; the error says why.
            ConversationTooLong, RateLimited: its successor would be more than may be.
            ResponseNotFound: the turn was deleted meanwhile.
            Overloaded: Redis is away; the input may have been taken.
        """
        settings, owner = self._settings, target.owner
        limits = self._limits.of(owner)
        limits.check_tier(target.tier)
        successor, items = new_response_id(), items_to_json(steer.items)
        waits = target.status == "queued"
        arguments: dict[str, Any] = {
            "id": target.id,
            "owner": owner,
            "steer": new_steer_id(),
            "key": steer.key,
            "successor": successor,
            "bytes": len(items.encode()) + len(steer.input.encode()),
            "max_steers": settings.steers,
            "max_bytes": settings.steer_bytes,
            "tokens": cost_of(steer.items, target.request),
            "day": today(),
            "limits": limits.numbers,
            "siblings": 0,
            "turn_seconds": settings.turn_seconds,
            "watch_ms": settings.unread_seconds * 1000,
            "alive_ms": settings.alive_ms,
            **settings.retention,
            **settings.conversation,
            "payloads": [
                items,
                steer.input,
                successor_response(target.response, successor, target.id),
                unclaimed_response(target.response) if waits else "",
            ],
        }
        if steer.requests_per_minute:
            arguments |= {
                "api_key": steer.api_key,
                "requests_per_minute": steer.requests_per_minute,
            }
        match await self._calls.reply_to(owner, partial(self._steer, **arguments)):
            case [b"accepted", id]:
                return cast(bytes, id).decode()
            case reply:
                raise self._refusal(reply, target, steer)

    async def left(self, id: str, owner: str, outcome: str) -> list[QueuedSteer]:
        """Return the input that had this outcome, in order, and that no turn has taken since.

        Raises:
            Overloaded: Redis is away.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(keys.turn(id), "owner")
        pipe.hgetall(keys.steers(id))
        known, steers = await self._calls.reply_to(owner, pipe.execute)
        fields = {name.decode(): value.decode() for name, value in steers.items()}
        if known is None or known.decode() != owner or fields.get("outcome") != outcome:
            return []
        numbers = range(1, int(fields["count"]) + 1)
        return [QueuedSteer(fields[f"id:{n}"], fields[f"input:{n}"]) for n in numbers]

    def _refusal(self, reply: Sequence[Any], target: Target, steer: Steer) -> Exception:
        settings = self._settings
        match reply:
            case [b"failed", code, id]:
                return SteerRefused(code.decode(), steer_id=id.decode() or None)
            case [b"conversation_too_long", b"turns"]:
                return ConversationTooLong(f"{settings.conversation_turns} turns")
            case [b"conversation_too_long", _]:
                return ConversationTooLong(f"{settings.conversation_bytes} bytes")
            case [b"limited", *at]:
                limits = self._limits.of(target.owner)
                return limit_reached(at, limits, steer.requests_per_minute)
            case [b"newer_version"]:
                return NewerVersion(target.id)
            case [b"response_not_found"]:
                return ResponseNotFound(target.id)
            case _:
                raise AssertionError("steer.lua returned an unknown reply")


def key_of(items: Sequence[Item], idempotency_key: str | None) -> str:
    """Return what identifies a steer of a turn: its key, or else all that it says."""
    if idempotency_key is not None:
        return f"key {idempotency_key}"
    return f"items {hashlib.sha256(items_to_json(items).encode()).hexdigest()}"
