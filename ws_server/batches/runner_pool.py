"""Runs the batches that no other node runs, as many at once as a node may run."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from turnstream.turns.batch import Batch, BatchLost
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.errors import Overloaded
from turnstream.turns.tasks import end
from turnstream.ws_server.batches.runner import BatchRunner

log = logging.getLogger(__name__)

#: How often a node looks for a batch without a runner; one created here is found at once.
LOOK_SECONDS = 0.5
#: Most batches that a node runs at once; others wait for another node or until one ends.
MOST_BATCHES = 8
#: After this many failed runners a batch fails: the next one would meet the same error.
MOST_FAILURES = 5


class RunnerPool:
    """The runners of one node."""

    def __init__(self, store: BatchStore, make: Callable[[Batch], BatchRunner]) -> None:
        self._store = store
        self._make = make
        self._created = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look for a batch at once, since one was created here."""
        self._created.set()

    async def run(self) -> None:
        """Take and run batches until cancelled; `end` ends those that run."""
        while True:
            self._running = {task for task in self._running if not task.done()}
            batch = await self._take() if len(self._running) < MOST_BATCHES else None
            if batch is not None:
                self._running.add(asyncio.create_task(self._run(batch), name=batch.id))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._created.wait()
            self._created.clear()

    async def end(self) -> None:
        """Interrupt and release all batches, so that other nodes continue them."""
        await end(self._running)

    async def _take(self) -> Batch | None:
        try:
            return await self._store.take()
        except Overloaded:
            return None

    async def _run(self, batch: Batch) -> None:
        log.info("%s: taken, %s", batch.id, batch.status)
        try:
            await self._run_to_end(batch)
        except asyncio.CancelledError:
            await self._release(batch)
            raise

    async def _run_to_end(self, batch: Batch) -> None:
        # After any error but BatchLost the lease expires, and a runner tries again.
        runner = self._make(batch)
        try:
            await runner.run()
        except* BatchLost:
            log.warning("%s: another node runs it by now", batch.id)
        except* OSError as group:
            log.error("%s: the blob store is unavailable: %s", batch.id, group.exceptions[0])
        except* Exception:
            log.exception("%s: its runner failed", batch.id)
            with suppress(Overloaded, BatchLost):
                if await self._store.count_failure(batch) >= MOST_FAILURES:
                    await runner.give_up()
                    log.error("%s: failed, after %d runners", batch.id, MOST_FAILURES)

    async def _release(self, batch: Batch) -> None:
        try:
            await self._store.release(batch)
        except (Overloaded, BatchLost):
            log.warning("%s: not released; other nodes wait until its lease expires", batch.id)
