"""Delivers what is due to webhook endpoints, as many at once as a node may.

Any node delivers for all: a delivery is leased in Redis for each attempt. What a node does not
settle before it ends is attempted again by another when the lease is over.
"""

import asyncio
import logging
import time
from contextlib import suppress

from turnstream.turns.errors import Overloaded
from turnstream.turns.tasks import end
from turnstream.turns.webhook_outbox import (
    LEASE_MS,
    MOST_PER_CALL,
    Delivery,
    WebhookOutbox,
)
from turnstream.ws_server import metrics
from turnstream.ws_server.webhooks.sender import (
    ATTEMPT_SECONDS,
    MOST_CONNECTIONS,
    NotSent,
    Sender,
)

log = logging.getLogger(__name__)

#: How often a node looks for what is due, unless an attempt has just ended.
LOOK_SECONDS = 0.25
#: How long it does not ask Redis again after a failure.
OUTAGE_SECONDS = 1.0
#: How often it tells Redis again what came of an attempt, until the lease is over.
AGAIN_SECONDS = 0.5
#: How long attempts under way may take when the node ends.
END_SECONDS = 2.0


class Deliverer:
    """The attempts of one node."""

    def __init__(self, outbox: WebhookOutbox, sender: Sender) -> None:
        self._outbox = outbox
        self._sender = sender
        self._ended = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Lease and attempt what is due until cancelled; `end` ends the attempts under way."""
        while True:
            self._running = {task for task in self._running if not task.done()}
            self._ended.clear()
            asked = time.monotonic()
            claimed = await self._claim(MOST_CONNECTIONS - len(self._running))
            for delivery in claimed:
                task = asyncio.create_task(self._deliver(delivery, asked), name=delivery.event)
                task.add_done_callback(lambda _: self._ended.set())
                self._running.add(task)
            if len(claimed) == MOST_PER_CALL:
                # There may be more.
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ended.wait()

    async def end(self) -> None:
        """Let attempts under way end soon, and interrupt the others."""
        if self._running:
            await asyncio.wait(self._running, timeout=END_SECONDS)
        await end(self._running)

    async def _claim(self, most: int) -> list[Delivery]:
        if not most:
            return []
        try:
            return await self._outbox.claim(most)
        except Overloaded:
            await asyncio.sleep(OUTAGE_SECONDS)
            return []

    async def _deliver(self, delivery: Delivery, asked: float) -> None:
        # The lease began after the call for it did.
        until = asked + LEASE_MS / 1000
        if time.monotonic() > until - ATTEMPT_SECONDS:
            # Redis took so long to answer that another node may have it before the attempt ends.
            return
        try:
            status, problem = await self._attempt(delivery)
            while True:
                with suppress(Overloaded):
                    await self._settle(delivery, status, problem)
                    return
                if time.monotonic() > until:
                    log.warning("%s: attempted, but Redis can't be told", delivery.event)
                    return
                await asyncio.sleep(AGAIN_SECONDS)
        except Exception:
            # One delivery must not end all; the lease lapses, and it is attempted again.
            log.exception("%s: the attempt failed", delivery.event)

    async def _attempt(self, delivery: Delivery) -> tuple[int | None, str]:
        """Return the status of the answer, if there was one, and what is wrong with it."""
        try:
            status = await self._sender.post(
                delivery.url, delivery.event, delivery.body, delivery.secrets
            )
        except NotSent as exc:
            return None, str(exc)
        return status, "" if 200 <= status < 300 else f"it answered {status}"

    async def _settle(self, delivery: Delivery, status: int | None, problem: str) -> None:
        if not problem:
            await self._outbox.accepted(delivery)
            metrics.webhook_attempted("accepted")
            return
        dead = await self._outbox.failed(delivery, status, problem)
        metrics.webhook_attempted("dead" if dead else "failed")
        if dead:
            log.warning("%s for %s: a dead letter: %s", delivery.event, delivery.endpoint, problem)
