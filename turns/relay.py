"""A node's one subscription: published events go from here to every follower in this process.

redis-py renews a lost subscription without reporting it. So every confirmation of a subscription,
and silence beyond the node's own heartbeat, makes all followers read the log.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.redis_problem import REDIS_ERRORS, RedisProblem, problem_of

log = logging.getLogger(__name__)

#: How often a node publishes to itself, to check its subscription.
HEARTBEAT_SECONDS = 2.0
#: Silence after which the subscription is considered dead and renewed.
SILENT_SECONDS = 6.0
#: How long to wait before the subscription is renewed.
RETRY_SECONDS = 0.2
_HEARTBEAT = b"heartbeat"


class Listener(Protocol):
    """An object that receives what is published for one id."""

    turn_id: str

    def deliver(self, seq: int, event: bytes, *, last: bool) -> None: ...

    def resync(self) -> None: ...

    @property
    def outbox(self) -> tuple[int, int]: ...


class Relay:
    """Dispatches published events to followers."""

    def __init__(
        self,
        node: str,
        subscriber: "redis.asyncio.Redis",
        commands: "redis.asyncio.Redis",
        redis_url: str,
    ) -> None:
        self._channel = keys.node_channel(node)
        self._subscriber = subscriber
        self._commands = commands
        self._redis_url = redis_url
        self._followers: defaultdict[str, set[Listener]] = defaultdict(set)
        self._last_message = 0.0
        #: Why there is no subscription; None while there is one.
        self.problem: RedisProblem | None = None
        #: Set while the subscription is confirmed: what is published then arrives.
        self.subscribed = asyncio.Event()

    def add(self, follower: Listener) -> None:
        """Dispatch a turn's events to this follower from now on."""
        self._followers[follower.turn_id].add(follower)

    def remove(self, follower: Listener) -> None:
        """Stop dispatching to a follower."""
        group = self._followers.get(follower.turn_id)
        if group is not None:
            group.discard(follower)
            if not group:
                del self._followers[follower.turn_id]

    def followed(self) -> list[str]:
        """Return the ids of turns with followers on this node."""
        return list(self._followers)

    def outbox(self) -> tuple[int, int]:
        """Return how many events of all followers wait to be sent, and their memory in bytes."""
        waiting = [each.outbox for group in self._followers.values() for each in group]
        return sum(events for events, _ in waiting), sum(held for _, held in waiting)

    async def listen(self) -> None:
        """Receive and dispatch for as long as the node runs, across outages of Redis."""
        while True:
            self._last_message = time.monotonic()
            try:
                async with self._subscriber.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    async for message in pubsub.listen():
                        self._take(message)
            except REDIS_ERRORS as exc:
                self._note(exc)
            self.subscribed.clear()
            self._resync_all()
            await asyncio.sleep(RETRY_SECONDS)

    def _note(self, exc: BaseException) -> None:
        before, self.problem = self.problem, problem_of(exc, self._redis_url)
        if before is None or before.cause is not self.problem.cause:
            log.warning("the subscription was lost and is renewed: %s", self.problem)

    def _take(self, message: Mapping[str, Any]) -> None:
        self._last_message = time.monotonic()
        if message["type"] == "subscribe":
            self.problem = None
            self.subscribed.set()
            self._resync_all()
        elif message["data"] != _HEARTBEAT:
            self._dispatch(message["data"])

    async def heartbeat(self) -> None:
        """Publish to the node itself, and renew the subscription when that does not arrive."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._commands.publish(self._channel, _HEARTBEAT)
            except REDIS_ERRORS:
                continue
            if time.monotonic() - self._last_message > SILENT_SECONDS:
                log.warning("no message received for %.0f seconds", SILENT_SECONDS)
                # `listen` sees its connection closed and opens another.
                await self._subscriber.connection_pool.disconnect()

    def _dispatch(self, payload: bytes) -> None:
        for message in payload.split(b"\n"):
            turn_id, seq, more, event = message.split(b" ", 3)
            for follower in self._followers.get(turn_id.decode(), ()):
                follower.deliver(int(seq), event, last=more == b"end")

    def _resync_all(self) -> None:
        for group in self._followers.values():
            for follower in group:
                follower.resync()
