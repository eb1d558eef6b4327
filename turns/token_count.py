"""Token counts of conversations: requested by nodes, which have no tokenizer, counted by workers.

Nothing is stored. A request that no worker takes in time, or whose answer is lost, is refused,
and the client repeats it.
"""

import asyncio
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import redis
import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import BadRequest, Overloaded
from turnstream.turns.history import conversation
from turnstream.turns.lua import Script
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import conversation_arguments, refusal
from turnstream.turns.turn import Item, Request, Turn, items_from_json, items_to_json

#: How long to wait for an answer; a live worker answers within milliseconds.
REPLY_SECONDS = 5.0
#: How long a node that has just started waits for its subscription first.
SUBSCRIBE_SECONDS = 1.0
#: Requests that may wait for the workers of a model; one more is refused.
MAX_WAITING = 256
#: Bytes that they may have together; a single one is taken whatever its size.
MAX_WAITING_BYTES = 32 * 1024 * 1024
#: Bytes of a conversation whose tokens are counted; of a longer one the latest turns are read.
MOST_BYTES = 8 * 1024 * 1024
#: Longest wait for the next request in one call; below the timeout of a command.
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request of a node to count the tokens of a conversation."""

    id: str
    #: The node that gets the answer.
    node: str
    request: Request
    #: The whole conversation, oldest first.
    messages: tuple[Item, ...]
    #: Whether to answer also which of its turns to keep when it is compacted.
    compact: bool
    #: Whether it has earlier turns that were not read, because they are too long.
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A worker's answer."""

    tokens: int
    #: The latest turns that leave room for more; empty without `compact`.
    kept: tuple[Item, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"tokens": self.tokens, "kept": items_to_json(self.kept)})


def refusal_to_json(error: BadRequest) -> str:
    """Write the answer for a conversation that can't become a prompt."""
    return json.dumps({"refused": [error.message, error.code, error.param]})


def count_from_json(text: str | bytes) -> Count:
    """Read a worker's answer.

    Raises:
        BadRequest: the conversation can't become a prompt.
    """
    reply = json.loads(text)
    if "refused" in reply:
        message, code, param = reply["refused"]
        raise BadRequest(message, code=code, param=param)
    return Count(tokens=reply["tokens"], kept=items_from_json(reply["kept"]))


def question_from_json(text: str | bytes) -> Question:
    """Read a request as count.lua wrote it."""
    question = json.loads(text)
    return Question(
        id=question["id"],
        node=question["node"],
        request=Request.from_json(question["request"]),
        messages=conversation(
            question["history"] or (), question["input"], question.get("system") or ()
        ),
        cut=question.get("cut", False),
        compact=question["compact"],
    )


class TokenCounter:
    """Asks workers to count tokens for a node; their answers come through the node's relay."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        relay: Relay,
        settings: TurnSettings,
        limits: CurrentLimits,
        node: str,
    ) -> None:
        self._calls = calls
        self._relay = relay
        self._settings = settings
        self._limits = limits
        self._node = node
        self._ask = Script(client, "count")

    async def count(self, turn: Turn, *, compact: bool = False) -> Count:
        """Count the tokens of a turn that is never submitted.

        Args:
            compact: also return which turns of the conversation to keep.

        Raises:
            PreviousResponseNotFound: the previous response is missing, another owner's, or not
                stored.
            BadRequest: the previous response is still being answered, or the conversation can't
                become a prompt.
            Overloaded: no worker answers, too many ask, or Redis is away.
        """
        listener = _Listener(f"count_{secrets.token_hex(16)}")
        self._relay.add(listener)
        try:
            # A reply is not kept in Redis: it must find the subscription, also right after a start.
            with suppress(TimeoutError):
                async with asyncio.timeout(SUBSCRIBE_SECONDS):
                    await self._relay.subscribed.wait()
            await self._put(turn, listener.turn_id, compact=compact)
            async with asyncio.timeout(REPLY_SECONDS):
                return count_from_json(await listener.reply)
        except TimeoutError as exc:
            raise Overloaded(f"No worker of model '{turn.model}' answered in time.") from exc
        finally:
            self._relay.remove(listener)

    async def _put(self, turn: Turn, id: str, *, compact: bool) -> None:
        limits = self._limits.of(turn.owner)
        call = partial(
            self._ask,
            id=id,
            node=self._node,
            owner=turn.owner,
            model=turn.model,
            **conversation_arguments(turn),
            has_question=turn.asks or compact,
            compact=compact,
            alive_ms=self._settings.alive_ms,
            max_waiting=MAX_WAITING,
            max_waiting_bytes=MAX_WAITING_BYTES,
            most_bytes=MOST_BYTES,
            wait_seconds=int(REPLY_SECONDS),
            limits=limits.numbers,
            store_seconds=self._settings.store_seconds,
            unstored_seconds=self._settings.unstored_seconds,
            payloads=[turn.request.to_json(), items_to_json(turn.input)],
        )
        match await self._calls.reply_to(turn.owner, call):
            case [b"ok"]:
                return
            case [b"no_worker"]:
                raise Overloaded(f"No worker of model '{turn.model}' is live.")
            case [b"too_many_requests"]:
                raise Overloaded("Too many token counts are waiting. Try again later.")
            case reply:
                raise refusal(reply, turn, self._settings, limits)


class _Listener:
    """Waits for the one message that is published under its id."""

    def __init__(self, id: str) -> None:
        self.turn_id = id
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def deliver(self, seq: int, event: bytes, *, last: bool) -> None:
        if not self.reply.done():
            self.reply.set_result(event)

    @property
    def outbox(self) -> tuple[int, int]:
        """Nothing: it is not sent to a client."""
        return 0, 0

    def resync(self) -> None:
        """Do nothing: a lost answer is not repeated, so the request times out."""


class CountQueue:
    """Requests for one model, as a worker reads them. Not thread-safe."""

    def __init__(self, client: "redis.Redis", *, model: str) -> None:
        self._client = client
        self._model = model

    def next(self) -> Question | None:
        """Take the next request; None when there was none for a while.

        Raises:
            redis.RedisError: Redis is away; ask again.
        """
        found = cast(
            Any, self._client.blpop([keys.count_requests(self._model)], timeout=POLL_SECONDS)
        )
        return question_from_json(found[1]) if found else None

    def answer(self, question: Question, answer: Count | BadRequest) -> None:
        """Send an answer to the node that asked.

        Raises:
            redis.RedisError: Redis is away; the client asks again.
        """
        text = answer.to_json() if isinstance(answer, Count) else refusal_to_json(answer)
        self._client.publish(keys.node_channel(question.node), f"{question.id} 0 end {text}")
