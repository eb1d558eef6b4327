"""What waits to be delivered to webhook endpoints: lease it, settle it, list it, send it again.

A delivery is leased for one attempt at a time, whichever node makes it. A node that dies leaves its
lease to expire, and the delivery is attempted again with the same id and the same bytes.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import redis.asyncio

from turnstream.turns import webhook_keys
from turnstream.turns.lua import Script
from turnstream.turns.redis_calls import translated_errors
from turnstream.turns.webhooks import usable_of

#: How long a lease lasts; an attempt takes a good part less.
LEASE_MS = 30_000
#: Attempts at one endpoint at a time, over all nodes; one while the endpoint fails.
EACH = 4
#: Deliveries that one call leases: Redis serves other clients between calls.
MOST_PER_CALL = 64
#: How long to wait after each failed attempt but the last: about a day in all.
BACK_OFF_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 36_000)
#: A wait is longer or shorter by up to this part of it, so that what failed together is spread.
JITTER = 0.2
#: Endpoints that a count of what waits reads.
MOST_COUNTED = 1000
#: Dead letters that one call sends again.
MOST_SENT_AGAIN = 10_000


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the attempts at a delivery so far; JSON in `webhook_attempts`."""

    count: int = 0
    #: When the last one ended, in seconds since 1970.
    at: int = 0
    #: The status that the endpoint answered with; None: it did not answer.
    status: int | None = None
    #: What was wrong with the last one.
    error: str = ""


class _Body(msgspec.Struct):
    """What is read of a delivery's body."""

    class Data(msgspec.Struct):
        id: str

    type: str
    created_at: int
    data: Data


_ATTEMPTS = msgspec.json.Decoder(Attempts)
_BODY = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery that is leased for one attempt."""

    endpoint: str
    #: Id of its event, which is its `webhook-id`.
    event: str
    body: bytes
    url: str
    secrets: tuple[str, ...]
    attempts: Attempts
    #: When the lease ends, by the clock of Redis, in milliseconds.
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A delivery as lists show it. Times are seconds since 1970."""

    event: str
    type: str
    #: Id of the response or the batch that has ended.
    object: str
    created_at: int
    attempts: Attempts
    #: When it is sent next, or a dead letter's last attempt was.
    when: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits at all endpoints together."""

    deliveries: int
    #: How long the one has been due that has been due longest; 0: none is.
    late_seconds: float
    failing_endpoints: int


class WebhookOutbox:
    """The outboxes of all endpoints. Methods raise `Overloaded` when Redis is unavailable."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._redis: Any = client
        self._claim = Script(client, "webhook_claim")
        self._settle = Script(client, "webhook_settle")
        self._again = Script(client, "webhook_send_again")
        self._backlog = Script(client, "webhook_backlog")

    async def claim(self, most: int) -> list[Delivery]:
        """Lease deliveries that are due, as many as `MOST_PER_CALL`."""
        with translated_errors():
            found = await self._claim(lease_ms=LEASE_MS, most=min(most, MOST_PER_CALL), each=EACH)
        return [
            Delivery(
                endpoint=endpoint.decode(),
                event=event.decode(),
                body=body,
                url=url.decode(),
                secrets=usable_of(secrets),
                attempts=_attempts(attempts),
                lease=lease,
            )
            for endpoint, event, body, url, secrets, attempts, lease in found
        ]

    async def accepted(self, delivery: Delivery) -> bool:
        """Forget a delivery that its endpoint accepted; return whether the lease still held."""
        with translated_errors():
            settled = await self._settle(
                endpoint=delivery.endpoint,
                event=delivery.event,
                lease=delivery.lease,
                accepted=True,
            )
        return bool(settled == b"ok")

    async def failed(self, delivery: Delivery, status: int | None, error: str) -> bool:
        """Note a failed attempt; return whether it was the last, and the delivery a dead letter."""
        count = delivery.attempts.count + 1
        attempts = Attempts(count=count, at=int(time.time()), status=status, error=error)
        wait = back_off(count)
        with translated_errors():
            await self._settle(
                endpoint=delivery.endpoint,
                event=delivery.event,
                lease=delivery.lease,
                accepted=False,
                attempts=msgspec.json.encode(attempts).decode(),
                retry_ms=None if wait is None else int(wait * 1000),
            )
        return wait is None

    async def waiting(self, endpoint: str, most: int) -> list[Listed]:
        """Return deliveries that wait or are being sent, those that are due first first."""
        return await self._list(endpoint, webhook_keys.webhook_outbox(endpoint), most)

    async def dead_letters(self, endpoint: str, most: int) -> list[Listed]:
        """Return an endpoint's dead letters, oldest first."""
        return await self._list(endpoint, webhook_keys.webhook_dead_letters(endpoint), most)

    async def send_again(self, endpoint: str, events: Sequence[str] | None) -> int:
        """Let dead letters be attempted again, all or some; return how many."""
        with translated_errors():
            return int(
                await self._again(
                    endpoint=endpoint,
                    events=None if events is None else list(events),
                    most=MOST_SENT_AGAIN,
                )
            )

    async def backlog(self) -> Backlog:
        """Return what waits at all endpoints."""
        with translated_errors():
            waiting, late_ms, failing = await self._backlog(most=MOST_COUNTED)
        return Backlog(waiting, late_ms / 1000, failing)

    async def _list(self, endpoint: str, key: str, most: int) -> list[Listed]:
        with translated_errors():
            found = await self._redis.zrange(key, 0, most - 1, withscores=True)
            if not found:
                return []
            events = [event for event, _ in found]
            bodies = await self._redis.hmget(webhook_keys.webhook_payloads(endpoint), events)
            attempts = await self._redis.hmget(webhook_keys.webhook_attempts(endpoint), events)
        listed = []
        for (event, when), body, tried in zip(found, bodies, attempts, strict=True):
            # Delivered since.
            if body is None:
                continue
            read = _BODY.decode(body)
            listed.append(
                Listed(
                    event=event.decode(),
                    type=read.type,
                    object=read.data.id,
                    created_at=read.created_at,
                    attempts=_attempts(tried or b""),
                    when=int(when) // 1000,
                )
            )
        return listed


def back_off(attempts: int) -> float | None:
    """Return after how many seconds a delivery is attempted again; None: no more."""
    if attempts > len(BACK_OFF_SECONDS):
        return None
    return BACK_OFF_SECONDS[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)


def _attempts(text: bytes) -> Attempts:
    return _ATTEMPTS.decode(text) if text else Attempts()
