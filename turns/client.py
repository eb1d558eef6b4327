"""A node's client of the queue: submit a turn, follow it, cancel it, look it up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from turnstream.turns import lost_turns
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.connection import connect_async, connect_direct_async, subscribe_async
from turnstream.turns.conversations import Conversations
from turnstream.turns.errors import (
    NewerVersion,
    Overloaded,
    RedisUnusable,
    ResponseNotFound,
    StreamExpired,
)
from turnstream.turns.events import kept
from turnstream.turns.fair_gate import FairGate
from turnstream.turns.feeds import Feeds
from turnstream.turns.follower import PAGE_BYTES, Follower, Page, ReadLog
from turnstream.turns.limits import Limits
from turnstream.turns.lua import Script
from turnstream.turns.migration import migrate
from turnstream.turns.overview import Overview, ReadOverview, overview
from turnstream.turns.owner_limits import CurrentLimits, StoredLimits
from turnstream.turns.probe import Probe
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.reader_room import ReaderRoom
from turnstream.turns.redis_calls import RedisCalls, translated_errors
from turnstream.turns.redis_problem import RedisProblem
from turnstream.turns.relay import Relay
from turnstream.turns.replication import submit_to
from turnstream.turns.served_models import ServedModels
from turnstream.turns.settings import TurnSettings
from turnstream.turns.steering import Steering
from turnstream.turns.stored import Stored
from turnstream.turns.submission import refusal, refused_cancel, submission, warm_up
from turnstream.turns.tasks import background
from turnstream.turns.token_count import TokenCounter
from turnstream.turns.traces import NO_TRACES, Traces
from turnstream.turns.turn import Turn
from turnstream.turns.versions import NewerVersionLog
from turnstream.turns.wake_up import WakeUp

#: How often a node renews the watches of its readers and sweeps.
MAINTAIN_SECONDS = 1.0
#: Turns in one call, so that no call delays others for long.
MAINTAIN_BATCH = 200
#: How long a turn that is not stored goes on after a reader left for good. It is longer than
#: `MAINTAIN_SECONDS`, so that every other reader has renewed the watch by then.
ABANDON_SECONDS = 2.5


class TurnClient:
    """What a front-end process does with turns; created by `open_client`."""

    def __init__(self, settings: TurnSettings, node: str, traces: Traces) -> None:
        self._settings, self._traces = settings, traces
        #: What a conversation may have.
        self.conversation_bytes = settings.conversation_bytes
        #: What each owner may ask for, kept up to date.
        self.limits = CurrentLimits(settings.limits)
        self._node = node
        self._wake_up = WakeUp()
        self._redis = connect_async(settings.redis_url, key_prefix=settings.key_prefix)
        self._direct = connect_direct_async(settings.redis_url, key_prefix=settings.key_prefix)
        self._subscriber = subscribe_async(settings.redis_url, key_prefix=settings.key_prefix)
        self._problems = ProblemLog(settings.redis_url)
        #: The model that `redis_problem` was last asked about.
        self._probed: str | None = None
        self.relay = Relay(node, self._subscriber, self._redis, settings.redis_url)
        #: What all clients of the node call Redis through, so that owners take turns.
        self.calls = calls = RedisCalls(self._problems)
        self._newer = NewerVersionLog()
        self._submits = FairGate()
        self._reply, self._reply_to = calls.reply, calls.reply_to
        #: What workers say of themselves.
        self.models = ServedModels(self._redis, calls, self._newer, settings)
        #: Records of turns.
        self.stored = Stored(self._redis, calls, alive_ms=settings.alive_ms)
        #: Conversations with an id.
        self.conversations = Conversations(self._redis, calls, settings, self.limits)
        #: What happens in conversations.
        self.feeds = Feeds(self._redis, calls, self.relay, settings, node=node)
        #: Input that is added to running turns.
        self.steering = Steering(self._redis, calls, settings, self.limits)
        #: Keys that were made at run time.
        self.api_keys = ApiKeys(self._redis, calls)
        self._stored_limits = StoredLimits(self._redis, calls)
        #: Token counts of conversations.
        self.counts = TokenCounter(self._redis, calls, self.relay, settings, self.limits, node)
        self._submit = Script(self._direct, "submit")
        self._warm_up = Script(self._direct, "warm_up")
        self._follow, self._watch, self._sweep, self._announce, self._cancel = (
            Script(self._redis, name) for name in ("follow", "watch", "sweep", "announce", "cancel")
        )
        self._overview = ReadOverview(self._redis, settings)
        self._migrated = False
        self._watch_ms = settings.unread_seconds * 1000

    @asynccontextmanager
    async def submit(self, turn: Turn, room: ReaderRoom | None = None) -> AsyncIterator[Follower]:
        """Submit a turn and follow it from its first event.

        With an idempotency key that was used before, the turn it created is followed instead.

        Args:
            room: shared by the readers of one connection; None: this reader has its own.

        Raises:
            PreviousResponseNotFound: the previous response is missing, another owner's, or not
                stored.
            ConversationNotFound, ConversationLocked: the owner has no such conversation, or one of
                its turns is still being answered.
            BadRequest: the previous response is still being answered, the conversation would be
                too long, or the idempotency key was used for another request.
            TierNotAllowed, RateLimited: the owner may not use this tier, or has reached a limit.
            Overloaded: the queue is full, or Redis is away.
        """
        limits = self.limits.of(turn.owner)
        limits.check_tier(turn.tier)
        follower = Follower(turn.id, after=-1, read=self._reader(turn.owner), room=room)
        # Added before the turn exists, so that its first event is not missed.
        self.relay.add(follower)
        try:
            match await self._submit_turn(turn, limits):
                case [b"ok", *reply]:
                    follower.take(Page(reply[:2], ends=not turn.generate), after=-1)
                    follower.limit_use = limits.use(*reply[2:]) if reply[2:] else None
                case [b"known", id]:
                    async with self.follow(id.decode(), turn.owner, after=-1, room=room) as known:
                        yield known
                    return
                case reply:
                    raise refusal(reply, turn, self._settings, limits)
            yield follower
        finally:
            self.relay.remove(follower)
            follower.close()

    async def _submit_turn(self, turn: Turn, limits: Limits) -> Any:
        async with self._submits.admitted(turn.owner):
            if not turn.generate:
                return await self._reply(self._warm_up(**warm_up(turn, self._settings, limits)))
            args = submission(turn, self._settings, limits, self._wake_up, node=self._node)
            replicas = self._settings.wait_replicas
            return await self._reply(submit_to(self._redis, self._submit, args, replicas=replicas))

    @asynccontextmanager
    async def follow(
        self, turn_id: str, owner: str, *, after: int, room: ReaderRoom | None = None
    ) -> AsyncIterator[Follower]:
        """Follow an existing turn, from the event after number `after`; `room` as in `submit`.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            StreamExpired: its events are not kept any more.
            Overloaded: Redis is away.
        """
        follower = Follower(turn_id, after=after, read=self._reader(owner), room=room)
        self.relay.add(follower)
        try:
            await follower.open()
            yield follower
        finally:
            self.relay.remove(follower)
            follower.close()

    async def cancel(self, turn_id: str, owner: str) -> None:
        """Cancel a turn, whether it waits or runs; return before it has ended.

        Raises:
            ResponseNotFound: there is no such turn for this owner.
            BadRequest: it has ended already.
            Overloaded: Redis is away.
        """
        call = self._cancel(id=turn_id, owner=owner, **self._settings.retention)
        if (refused := refused_cancel(await self._reply(call), turn_id)) is not None:
            raise refused

    async def abandon(self, turn_id: str) -> None:
        """Note that a reader left for good: a turn that is not stored is cancelled soon.

        Another reader keeps it running."""
        with suppress(Overloaded):
            await self._reply(self._watch(ids=[turn_id], watch_ms=int(ABANDON_SECONDS * 1000)))

    async def redis_problem(self, model: str) -> RedisProblem | None:
        """Return why Redis can't take a turn of the model and report on it; None if it can.

        Once it was called, `maintain` repeats it, so that the log tells of the end of a problem.
        """
        self._probed = model
        try:
            await self._reply(Probe(self._redis, model)())
        except RedisUnusable as exc:
            return exc.problem
        self._problems.solved()
        return self.relay.problem

    async def overview(self) -> Overview:
        """Return what operators look at.

        Raises:
            Overloaded: Redis is away.
        """
        return overview(await self._reply(self._overview()))

    async def migrate(self) -> None:
        """Migrate what an older release stored, once.

        Raises:
            Overloaded: Redis is away; call again.
        """
        if not self._migrated:
            with translated_errors():
                await migrate(self._redis)
            self._migrated = True

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._direct.aclose()
        await self._redis.aclose()
        await self._subscriber.aclose()

    async def maintain(self) -> None:
        """Sweep, renew watches and announce queue places once a second, until cancelled."""
        while True:
            await asyncio.sleep(MAINTAIN_SECONDS)
            try:
                await self._stored_limits.refresh(self.limits)
                if self._probed is not None:
                    await self.redis_problem(self._probed)
                await self.migrate()
                moved, newer = await self._reply(self._sweep(**self._settings.sweep_arguments))
                lost_turns.report(moved, self._traces)
                self._newer.report(newer.decode())
                await self.feeds.renew()
                followed = self.relay.followed()
                for i in range(0, len(followed), MAINTAIN_BATCH):
                    some = followed[i : i + MAINTAIN_BATCH]
                    await self._reply(self._watch(ids=some, watch_ms=self._watch_ms))
                    await self._reply(self._announce(ids=some, alive_ms=self._settings.alive_ms))
            except Overloaded:
                continue

    async def _read_log(self, turn_id: str, owner: str, after: int) -> Any:
        asked = {"after": after, "bytes": PAGE_BYTES, "watch_ms": self._watch_ms}
        call = partial(self._follow, id=turn_id, owner=owner, node=self._node, **asked)
        return await self._reply_to(owner, call)

    def _reader(self, owner: str) -> ReadLog:
        async def read(turn_id: str, after: int) -> Page:
            match await self._read_log(turn_id, owner, after):
                case [b"newer_version"]:
                    raise NewerVersion(turn_id)
                case [b"response_not_found"]:
                    raise ResponseNotFound(turn_id)
                case [b"stream_expired"]:
                    raise StreamExpired(turn_id)
                case [b"kept", seq, *record]:
                    fields = [field.decode() for field in record]
                    events = [event.encode() for event in kept(seq, *fields)]
                    left = events[max(0, after - seq + len(events)) :]
                    return Page(left, ends=True, from_record=True)
                case [state, seq, events]:
                    more = after + len(events) < seq
                    return Page(events, ends=state == b"ended" and not more, more=more)
            raise AssertionError("follow.lua returned an unknown reply")

        return read


@asynccontextmanager
async def open_client(
    settings: TurnSettings, node: str, traces: Traces = NO_TRACES
) -> AsyncIterator[TurnClient]:
    """Create a client and run its background tasks while it is in use."""
    turn_client = TurnClient(settings, node, traces)
    with suppress(Overloaded):
        await turn_client.migrate()
    loops = background(
        relay=turn_client.relay.listen(),
        heartbeat=turn_client.relay.heartbeat(),
        maintain=turn_client.maintain(),
    )
    try:
        async with loops:
            yield turn_client
    finally:
        await turn_client.aclose()
