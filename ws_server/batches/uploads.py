"""Uploads under way: their bytes are reserved before they are written.

Owners have a bound over all nodes, which Redis counts; a node has one for the disk that uploads
wait on, which it counts itself.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from turnstream.turns.errors import Overloaded, RateLimited
from turnstream.turns.files import File, Files, new_file_id
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.ws_server.connections.byte_room import ByteRoom, Share

#: Bytes that are reserved ahead when a client does not say how many there are.
STEP_BYTES = 16 * 1024 * 1024
#: How often what an upload has reserved is renewed; far less than `files.LAPSE_SECONDS`.
RENEW_SECONDS = 60.0


class Uploads:
    """The uploads under way at a node."""

    def __init__(self, files: Files, owners: CurrentLimits, most: int) -> None:
        self._files = files
        self._owners = owners
        self._room = ByteRoom(most, "The uploads under way")

    @asynccontextmanager
    async def begin(self, owner: str, length: int) -> AsyncIterator["Upload"]:
        """Take an upload until the context ends; then what was not stored is given back.

        Args:
            length: of the body, at most; 0 if the client does not say.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: Redis is away.
        """
        share = self._room.begin(owner)
        upload = Upload(self._files, share, owner, self._owners.of(owner).file_bytes)
        try:
            await upload.reserve(length)
            yield upload
        finally:
            share.close()
            if not upload.stored:
                # Else it lapses.
                with suppress(Overloaded):
                    await self._files.release(upload.id, owner)


class Upload:
    """One upload, whose bytes are counted as they come."""

    def __init__(self, files: Files, share: Share, owner: str, most_bytes: int) -> None:
        #: Of the file that it becomes.
        self.id = new_file_id()
        #: Whether it has become a file.
        self.stored = False
        self._files = files
        self._share = share
        self._owner = owner
        self._most_bytes = most_bytes
        self._reserved = 0
        self._renewed = 0.0

    async def reserve(self, size: int) -> None:
        """Reserve bytes of the owner's, or change how many.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: Redis is away.
        """
        await self._files.reserve(self.id, self._owner, size, most_bytes=self._most_bytes)
        self._reserved, self._renewed = size, time.monotonic()

    async def take(self, size: int) -> None:
        """Count further bytes before they are written.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: uploads have too many bytes, or Redis is away.
        """
        self._share.take(size)
        if self._share.bytes <= self._reserved:
            await self.renew()
            return
        try:
            await self.reserve(self._share.bytes + STEP_BYTES)
        except RateLimited:
            await self.reserve(self._share.bytes)

    async def renew(self) -> None:
        """Keep what is reserved; to be called while the content is read or written."""
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            # Later will do, and if Redis stays away the file is refused.
            with suppress(Overloaded):
                await self.reserve(self._reserved)

    async def store(self, file: File) -> None:
        """Add the file's record; its content is written already.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: Redis is away.
        """
        await self._files.add(file, most_bytes=self._most_bytes)
        self.stored = True
