"""Uploads under way: their bytes are reserved before they are written.

Owners have a bound over all nodes, which Redis counts; a node has one for the disk that uploads
wait on, which it counts itself.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from turnstream.turns.errors import Overloaded, RateLimited
from turnstream.turns.files import File, Files, new_file_id
from turnstream.turns.limits import OwnerLimits

#: Bytes that are reserved ahead when a client does not say how many there are.
STEP_BYTES = 16 * 1024 * 1024
#: How often what an upload has reserved is renewed; far less than `files.LAPSE_SECONDS`.
RENEW_SECONDS = 60.0


class Uploads:
    """The uploads under way at a node."""

    def __init__(self, files: Files, owners: OwnerLimits, most: int) -> None:
        self.files = files
        self._owners = owners
        self._most = most
        #: Bytes that were taken, by owner.
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def begin(self, owner: str, length: int) -> AsyncIterator["Upload"]:
        """Take an upload until the context ends; then what was not stored is given back.

        Args:
            length: of the body, at most; 0 if the client does not say.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: Redis is away.
        """
        upload = Upload(self, owner, self._owners.of(owner).file_bytes)
        try:
            await upload.reserve(length)
            yield upload
        finally:
            self._held[owner] -= upload.taken
            if not self._held[owner]:
                del self._held[owner]
            if not upload.stored:
                # Else it lapses.
                with suppress(Overloaded):
                    await self.files.release(upload.id, owner)

    def take(self, owner: str, taken: int, size: int) -> None:
        """Count more bytes of an upload that has taken some already.

        A single one may have any size, and one owner's take at most half, so that a slow one does
        not keep all others out.

        Raises:
            Overloaded: uploads have too many bytes.
        """
        total, own = self._held.total(), self._held[owner]
        if (total > taken and total + size > self._most) or (
            own > taken and own + size > self._most // 2
        ):
            raise Overloaded(
                f"The uploads under way have {total} bytes, {own} of them yours: at most"
                f" {self._most}, and half of that for each owner. Try again in a moment."
            )
        self._held[owner] += size


class Upload:
    """One upload, whose bytes are counted as they come."""

    def __init__(self, uploads: Uploads, owner: str, most_bytes: int) -> None:
        #: Of the file that it becomes.
        self.id = new_file_id()
        #: Bytes of its content so far.
        self.taken = 0
        #: Whether it has become a file.
        self.stored = False
        self._uploads = uploads
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
        await self._uploads.files.reserve(self.id, self._owner, size, most_bytes=self._most_bytes)
        self._reserved, self._renewed = size, time.monotonic()

    async def take(self, size: int) -> None:
        """Count further bytes before they are written.

        Raises:
            RateLimited: the owner's files would have too many bytes.
            Overloaded: uploads have too many bytes, or Redis is away.
        """
        self._uploads.take(self._owner, self.taken, size)
        self.taken += size
        if self.taken <= self._reserved:
            await self.renew()
            return
        try:
            await self.reserve(self.taken + STEP_BYTES)
        except RateLimited:
            await self.reserve(self.taken)

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
        await self._uploads.files.add(file, most_bytes=self._most_bytes)
        self.stored = True
