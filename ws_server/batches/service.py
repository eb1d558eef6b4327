"""Opens files and batches for a node: what its routes use, and the tasks that run batches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from turnstream.turns.batch import Batch
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.connection import connect_async
from turnstream.turns.files import Files
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.tasks import background
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.expired_files import remove_expired_files
from turnstream.ws_server.batches.limits import BatchLimits
from turnstream.ws_server.batches.runner import BatchRunner
from turnstream.ws_server.batches.runner_pool import RunnerPool
from turnstream.ws_server.batches.uploads import Uploads
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.grammar_check import GrammarCheck
from turnstream.ws_server.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchService:
    """What the routes of files and batches use."""

    files: Files
    store: BatchStore
    blobs: Blobs
    runners: RunnerPool
    uploads: Uploads
    #: Most bytes of an upload.
    file_bytes: int
    #: How long a file is kept, unless its owner sets another time.
    file_seconds: int
    #: Limits of each owner.
    owners: CurrentLimits


@asynccontextmanager
async def open_batches(
    settings: ServerSettings,
    calls: RedisCalls,
    owners: CurrentLimits,
    directory: Directory,
    grammars: GrammarCheck,
) -> AsyncIterator[BatchService]:
    """Open files and batches, and run batches until the context ends."""
    client = connect_async(settings.turns.redis_url, key_prefix=settings.turns.key_prefix)
    blobs, files = Blobs(settings.files), Files(client, calls)
    store = BatchStore(client, calls, settings.turns, owners)
    limits = BatchLimits(
        window=settings.batch_window,
        lines=settings.batch_lines,
        line_bytes=settings.body_bytes,
        kept_seconds=settings.file_seconds,
    )

    def make(batch: Batch) -> BatchRunner:
        return BatchRunner(batch, store, files, blobs, directory, grammars, limits)

    runners = RunnerPool(store, make)
    loops = background(pool=runners.run(), expired_files=remove_expired_files(files, blobs))
    try:
        async with loops:
            yield BatchService(
                files=files,
                store=store,
                blobs=blobs,
                runners=runners,
                uploads=Uploads(files, owners, settings.upload_bytes),
                file_bytes=settings.file_bytes,
                file_seconds=settings.file_seconds,
                owners=owners,
            )
    finally:
        # After those tasks: they may be cancelled more than once, and would not wait then.
        await runners.end()
        await client.aclose()
