"""A node's share of the work on jobs: it feeds those that nobody feeds, and removes old files."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from turnstream.turns.ending import end
from turnstream.turns.errors import Overloaded
from turnstream.turns.feed import Feed, JobLost
from turnstream.turns.files import Files
from turnstream.turns.jobs import Job
from turnstream.ws_server.bulk.blobs import Blobs
from turnstream.ws_server.bulk.feeder import Feeder

log = logging.getLogger(__name__)

#: How often a node looks for a job that nobody feeds, unless one was just made here.
LOOK_SECONDS = 0.5
#: Jobs that a node feeds at once; further ones wait for another node, or for one of these to end.
MOST_JOBS = 8
#: How often files whose time is over are looked for.
TIDY_SECONDS = 60.0


class Feeders:
    """The feeders of one node."""

    def __init__(
        self, feed: Feed, files: Files, blobs: Blobs, make: Callable[[Job], Feeder]
    ) -> None:
        self._feed = feed
        self._files = files
        self._blobs = blobs
        self._make = make
        self._made = asyncio.Event()
        #: Jobs that are fed here; whoever ends the node ends these last.
        self.running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """A job was made: look at once."""
        self._made.set()

    async def run(self) -> None:
        """Take what nobody feeds, for as long as the node lives."""
        while True:
            self.running = {task for task in self.running if not task.done()}
            job = await self._take() if len(self.running) < MOST_JOBS else None
            if job is not None:
                self.running.add(asyncio.create_task(self._keep(job), name=job.id))
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

    async def _take(self) -> Job | None:
        try:
            return await self._feed.take()
        except Overloaded:
            return None

    async def _keep(self, job: Job) -> None:
        log.info("%s: fed here, %s", job.id, job.status)
        try:
            await self._feed_one(job)
        except asyncio.CancelledError:
            await self._let_go(job)
            raise

    async def _feed_one(self, job: Job) -> None:
        # But for a lost job, its lease runs out and somebody tries again.
        try:
            await self._make(job).run()
        except* JobLost:
            log.warning("%s: fed elsewhere by now", job.id)
        except* OSError as group:
            log.error("%s: its files can't be reached: %s", job.id, group.exceptions[0])
        except* Exception:
            log.exception("%s: its feeder broke", job.id)

    async def _let_go(self, job: Job) -> None:
        try:
            await self._feed.let_go(job)
        except (Overloaded, JobLost):
            log.warning("%s: others wait for its lease to run out", job.id)
