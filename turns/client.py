"""A node's door to the turns: hand one in, follow it, stop it, look it up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from turnstream.turns import keys
from turnstream.turns.connection import connect_async, subscribe_async
from turnstream.turns.counts import Counts
from turnstream.turns.ending import end
from turnstream.turns.errors import (
    BadRequest,
    NewerVersion,
    Overloaded,
    PreviousResponseNotFound,
    RateLimited,
    ResponseNotFound,
    StreamExpired,
)
from turnstream.turns.events import kept
from turnstream.turns.follower import PAGE, Follower, Page, ReadLog
from turnstream.turns.lua import Script
from turnstream.turns.patience import Patience
from turnstream.turns.relay import Relay
from turnstream.turns.settings import TurnSettings
from turnstream.turns.stored import Stored
from turnstream.turns.submission import submission, warm_up
from turnstream.turns.turn import Turn
from turnstream.turns.versions import NewerVersionLog
from turnstream.turns.wake_up import WakeUp

#: How often a node says whose readers it has, and looks for what is overdue.
TEND_SECONDS = 1.0
#: Turns in one call, so that no call holds up the others for long.
TEND_AT_ONCE = 200
#: How long a turn that is not stored outlives a reader who left for good; anybody else who reads it
#: has been heard of by then.
LEAVE_SECONDS = 2.5


class TurnClient:
    """What a front-end process does with turns. Use it as made by `open_client`."""

    def __init__(self, settings: TurnSettings, node: str) -> None:
        self._settings = settings
        self._node = node
        self._wake_up = WakeUp()
        self._redis = connect_async(settings.redis_url)
        self._subscriber = subscribe_async(settings.redis_url)
        self.relay = Relay(node, self._subscriber, self._redis)
        patience = Patience()
        self._answer = patience.answer
        #: What is kept of turns.
        self.stored = Stored(self._redis, patience, alive_ms=settings.alive_ms)
        #: How many tokens conversations are.
        self.counts = Counts(self._redis, patience, self.relay, settings, node)
        self._submit = Script(self._redis, "submit")
        self._warm_up = Script(self._redis, "warm_up")
        self._follow = Script(self._redis, "follow")
        self._watch = Script(self._redis, "watch")
        self._sweep = Script(self._redis, "sweep")
        self._announce = Script(self._redis, "announce")
        self._newer = NewerVersionLog()
        self._watch_ms = settings.watch_seconds * 1000
        self._cancel = Script(self._redis, "cancel")

    @asynccontextmanager
    async def submit(self, turn: Turn) -> AsyncIterator[Follower]:
        """Hand in a turn and follow it from its first event.

        With an idempotency key that is known, the turn it made is followed and none is made.

        Raises:
            PreviousResponseNotFound: its parent is not there, not the owner's, or not stored.
            BadRequest: its parent is still being answered, or its key was used for something else.
            TierNotAllowed, RateLimited: its owner may not ask for so much.
            Overloaded: the line is full, or Redis is away.
        """
        limits = self._settings.limits.of(turn.owner)
        limits.check_tier(turn.tier)
        follower = Follower(turn.id, after=-1, read=self._reader(turn.owner))
        # Before the turn exists, so that not even its first event is missed.
        self.relay.add(follower)
        try:
            match await self._submit_turn(turn):
                case [b"ok", *events]:
                    follower.take(Page(events, ends=not turn.generate), after=-1)
                case [b"known", id]:
                    async with self.follow(id.decode(), turn.owner, after=-1) as known:
                        yield known
                    return
                case [b"idempotency_key_reused"]:
                    raise BadRequest(
                        "This idempotency key was used for another request.",
                        code="idempotency_key_reused",
                        param="idempotency_key",
                    )
                case [b"no_question"]:
                    raise BadRequest(
                        "'input' must be a question: nothing was asked that waits for an answer.",
                        param="input",
                    )
                case [b"previous_response_running"]:
                    raise BadRequest(
                        f"Previous response '{turn.parent}' is still being answered.",
                        code="previous_response_running",
                        param="previous_response_id",
                    )
                case [b"previous_response_not_found"]:
                    raise PreviousResponseNotFound(turn.parent or "")
                case [b"newer_version"]:
                    raise NewerVersion(turn.parent or "")
                case [b"limited", limit, wait_ms]:
                    name = limit.decode()
                    raise RateLimited(name, getattr(limits, name), wait_ms)
                case _:
                    raise Overloaded("Too many turns are waiting. Try again later.")
            yield follower
        finally:
            self.relay.remove(follower)

    async def _submit_turn(self, turn: Turn) -> Any:
        if not turn.generate:
            return await self._answer(self._warm_up(**warm_up(turn, self._settings)))
        args = submission(turn, self._settings, self._wake_up, node=self._node)
        return await self._answer(self._submit(**args))

    @asynccontextmanager
    async def follow(self, turn_id: str, owner: str, *, after: int) -> AsyncIterator[Follower]:
        """Follow a turn that is there already, from the event after number `after`.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            StreamExpired: its events are not kept any more.
            Overloaded: Redis is away.
        """
        read = self._reader(owner)
        follower = Follower(turn_id, after=after, read=read)
        self.relay.add(follower)
        try:
            follower.take(await read(turn_id, after), after=after)
            yield follower
        finally:
            self.relay.remove(follower)

    async def cancel(self, turn_id: str, owner: str) -> None:
        """Stop a turn, whether it waits or runs; returns before it has ended.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            BadRequest: it has ended already.
            Overloaded: Redis is away.
        """
        call = self._cancel(id=turn_id, owner=owner, **self._settings.retention)
        match await self._answer(call):
            case b"newer_version":
                raise NewerVersion(turn_id)
            case b"response_not_found":
                raise ResponseNotFound(turn_id)
            case b"response_not_active":
                raise BadRequest(
                    f"Response '{turn_id}' has ended already.",
                    code="response_not_active",
                    param="response_id",
                )

    async def leave(self, turn_id: str) -> None:
        """Say that a reader left: what is not stored ends soon, unless somebody else reads it."""
        with suppress(Overloaded):
            await self._answer(self._watch(ids=[turn_id], watch_ms=int(LEAVE_SECONDS * 1000)))

    async def models(self) -> dict[str, dict[str, Any]]:
        """Say what each model that was ever served told of itself, by name."""
        found = await self._answer(
            cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(keys.models()))
        )
        return {name.decode(): json.loads(about) for name, about in found.items()}

    async def is_served(self, model: str) -> bool:
        """Tell whether a worker of the model was heard of lately."""
        beats = await self._answer(
            self._redis.zrange(keys.heartbeats(model), -1, -1, withscores=True)
        )
        seconds, micros = await self._answer(self._redis.time())
        now = seconds * 1000 + micros // 1000
        return bool(beats) and now - beats[0][1] < self._settings.alive_seconds * 1000

    async def aclose(self) -> None:
        """Let go of Redis."""
        await self._redis.aclose()
        await self._subscriber.aclose()

    async def tend(self) -> None:
        """See to what is overdue and tell waiting readers their place, while the node lives."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                _, newer = await self._answer(self._sweep(**self._settings.sweep_arguments))
                self._newer.report(newer.decode())
                followed = self.relay.followed()
                for i in range(0, len(followed), TEND_AT_ONCE):
                    some = followed[i : i + TEND_AT_ONCE]
                    await self._answer(self._watch(ids=some, watch_ms=self._watch_ms))
                    await self._answer(self._announce(ids=some, alive_ms=self._settings.alive_ms))
            except Overloaded:
                continue

    def _reader(self, owner: str) -> ReadLog:
        async def read(turn_id: str, after: int) -> Page:
            call = self._follow(
                id=turn_id,
                owner=owner,
                node=self._node,
                after=after,
                limit=PAGE,
                watch_ms=self._watch_ms,
            )
            match await self._answer(call):
                case [b"newer_version"]:
                    raise NewerVersion(turn_id)
                case [b"response_not_found"]:
                    raise ResponseNotFound(turn_id)
                case [b"stream_expired"]:
                    raise StreamExpired(turn_id)
                case [b"kept", seq, *record]:
                    fields = [field.decode() for field in record]
                    events = [event.encode() for event in kept(turn_id, seq, *fields)]
                    return Page(events[max(0, after - seq + len(events)) :], ends=True)
                case [state, seq, events]:
                    ends = state == b"ended" and after + len(events) >= seq
                    return Page(events, ends=ends)
            raise AssertionError("follow.lua answers in four ways")

        return read


@asynccontextmanager
async def open_client(settings: TurnSettings, node: str) -> AsyncIterator[TurnClient]:
    """Make a front and keep it listening while in use."""
    turn_client = TurnClient(settings, node)
    async with asyncio.TaskGroup() as tasks:
        always = [
            tasks.create_task(turn_client.relay.listen(), name="relay"),
            tasks.create_task(turn_client.relay.heartbeat(), name="relay heartbeat"),
            tasks.create_task(turn_client.tend(), name="tend"),
        ]
        try:
            yield turn_client
        finally:
            await end(always)
            await turn_client.aclose()
