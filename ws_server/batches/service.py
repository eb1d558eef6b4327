"""What a node has to do with files and batches, for as long as it lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from turnstream.turns.batches import Batch, Batches
from turnstream.turns.connection import connect_async
from turnstream.turns.feed import Feed
from turnstream.turns.files import Files
from turnstream.turns.limits import OwnerLimits
from turnstream.turns.tasks import end
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.feeder import Feeder, Limits
from turnstream.ws_server.batches.feeders import Feeders
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What the routes of files and batches use."""

    files: Files
    batches: Batches
    blobs: Blobs
    feeders: Feeders
    #: Bytes that an upload may have.
    file_bytes: int
    #: How long a file is kept, unless its owner says otherwise.
    file_seconds: int
    #: What each owner may ask for.
    owners: OwnerLimits


@asynccontextmanager
async def open_bulk(settings: ServerSettings, directory: Directory) -> AsyncIterator[Bulk]:
    """Open files and batches, and feed batches while in use."""
    client = connect_async(settings.turns.redis_url)
    blobs, files, feed = Blobs(settings.files), Files(client), Feed(client, settings.turns)
    limits = Limits(
        window=settings.batch_window,
        lines=settings.batch_lines,
        kept_seconds=settings.file_seconds,
    )

    def make(batch: Batch) -> Feeder:
        return Feeder(batch, feed, files, blobs, directory, limits)

    feeders = Feeders(feed, files, blobs, make)
    async with asyncio.TaskGroup() as tasks:
        always = [
            tasks.create_task(feeders.run(), name="feeders"),
            tasks.create_task(feeders.tidy(), name="tidy"),
        ]
        try:
            yield Bulk(
                files=files,
                batches=Batches(client),
                blobs=blobs,
                feeders=feeders,
                file_bytes=settings.file_bytes,
                file_seconds=settings.file_seconds,
                owners=settings.turns.limits,
            )
        finally:
            await end(always)
            # Not by those tasks themselves: whoever is asked twice to end waits for nobody.
            await feeders.end()
            await client.aclose()
