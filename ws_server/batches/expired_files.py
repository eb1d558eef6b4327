"""Removes expired files. Every node does so; removing a file twice is no error."""

import asyncio
import logging
import time

from turnstream.turns.errors import Overloaded
from turnstream.turns.files import Files
from turnstream.ws_server.batches.blobs import Blobs

log = logging.getLogger(__name__)

#: How often expired files are looked for.
LOOK_SECONDS = 60.0


async def remove_expired_files(files: Files, blobs: Blobs) -> None:
    """Remove expired files until cancelled."""
    while True:
        try:
            for file in await files.expired(time.time()):
                await blobs.delete(file.path)
                await files.forget(file)
        except (Overloaded, OSError) as exc:
            log.warning("expired files can't be removed now: %s", exc)
        await asyncio.sleep(LOOK_SECONDS)
