"""Runs the batches that no other node runs, and removes expired files."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from turnstream.turns.batches import Batch
from turnstream.turns.errors import Overloaded
from turnstream.turns.feed import BatchLost, Feed
from turnstream.turns.files import Files
from turnstream.turns.tasks import end
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.feeder import Feeder

log = logging.getLogger(__name__)

#: How often a node looks for a batch that nobody feeds, unless one was just made here.
LOOK_SECONDS = 0.5
#: Batches that a node feeds at once; further ones wait for another node or a free place.
MOST_BATCHES = 8
#: How often files whose time is over are looked for.
TIDY_SECONDS = 60.0


class Feeders:
    """The feeders of one node."""

    def __init__(
        self, feed: Feed, files: Files, blobs: Blobs, make: Callable[[Batch], Feeder]
    ) -> None:
        self._feed = feed
        self._files = files
        self._blobs = blobs
        self._make = make
        self._made = asyncio.Event()
        #: Batches that are fed here; whoever ends the node ends these last.
        self.running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """A batch was made: look at once."""
        self._made.set()

    async def run(self) -> None:
        """Take what nobody feeds, for as long as the node lives."""
        while True:
            self.running = {task for task in self.running if not task.done()}
            batch = await self._take() if len(self.running) < MOST_BATCHES else None
            if batch is not None:
                self.running.add(asyncio.create_task(self._keep(batch), name=batch.id))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._made.wait()
            self._made.clear()

    async def end(self) -> None:
        """Let go of what is fed here: it goes on elsewhere."""
        await end(self.running)

    async def tidy(self) -> None:
        """Remove files whose time is over."""
        while True:
            try:
                for file in await self._files.expired(time.time()):
                    await self._blobs.delete(file.path)
                    await self._files.forget(file)
            except (Overloaded, OSError) as exc:
                log.warning("old files can't be removed now: %s", exc)
            await asyncio.sleep(TIDY_SECONDS)

    async def _take(self) -> Batch | None:
        try:
            return await self._feed.take()
        except Overloaded:
            return None

    async def _keep(self, batch: Batch) -> None:
        log.info("%s: fed here, %s", batch.id, batch.status)
        try:
            await self._feed_one(batch)
        except asyncio.CancelledError:
            await self._let_go(batch)
            raise

    async def _feed_one(self, batch: Batch) -> None:
        # But for a lost batch, its lease runs out and somebody tries again.
        try:
            await self._make(batch).run()
        except* BatchLost:
            log.warning("%s: fed elsewhere by now", batch.id)
        except* OSError as group:
            log.error("%s: its files can't be reached: %s", batch.id, group.exceptions[0])
        except* Exception:
            log.exception("%s: its feeder broke", batch.id)

    async def _let_go(self, batch: Batch) -> None:
        try:
            await self._feed.let_go(batch)
        except (Overloaded, BatchLost):
            log.warning("%s: others wait for its lease to run out", batch.id)
