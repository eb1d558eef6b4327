"""The blob store: a folder of this machine by default, an object store by its URL.

What is written appears whole or not at all, under any kind of store: object stores cannot append.
Its calls block, so they run on threads.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from fsspec.core import url_to_fs

#: Bytes that are read at a time.
CHUNK = 256 * 1024


class Blobs:
    """Blobs by name."""

    def __init__(self, url: str) -> None:
        self._local = "://" not in url
        options = {"auto_mkdir": True} if self._local else {}
        self._fs: Any
        self._fs, self._root = url_to_fs(url, **options)

    def open(self, path: str) -> Any:
        """Open a blob for reading, as a Python file; blocks.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        return self._fs.open(self._full(path), "rb")

    async def write(self, path: str, chunks: AsyncIterator[bytes]) -> int:
        """Write a blob from chunks and return its length; if interrupted, no blob appears."""
        if not self._local:
            return await self._write(self._full(path), chunks, autocommit=False)
        part = f"{self._full(path)}.{secrets.token_hex(8)}"
        try:
            length = await self._write(part, chunks)
            await asyncio.to_thread(self._fs.mv, part, self._full(path))
        except BaseException:
            with suppress(OSError):
                self._fs.rm_file(part)
            raise
        return length

    async def put(self, path: str, content: bytes) -> None:
        """Write a small blob."""
        if not self._local:
            await asyncio.to_thread(self._fs.pipe_file, self._full(path), content)
            return

        async def whole() -> AsyncIterator[bytes]:
            yield content

        await self.write(path, whole())

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield a blob's content, a chunk at a time.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        file = await asyncio.to_thread(self.open, path)
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                yield chunk
        finally:
            await asyncio.to_thread(file.close)

    async def size(self, path: str) -> int:
        """Return a blob's length.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        return int(await asyncio.to_thread(self._fs.size, self._full(path)))

    async def delete(self, path: str) -> None:
        """Delete a blob, if it exists."""
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._fs.rm_file, self._full(path))

    async def delete_folder(self, path: str) -> None:
        """Delete every blob below a name."""
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._fs.rm, self._full(path), recursive=True)

    async def _write(self, path: str, chunks: AsyncIterator[bytes], **options: Any) -> int:
        file = await asyncio.to_thread(self._fs.open, path, "wb", **options)
        length = 0
        try:
            async for chunk in chunks:
                length += await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(self._finish, file)
        except BaseException:
            if self._local:
                file.close()
            else:
                file.discard()
                # Otherwise the garbage collector would write it.
                file.closed = True
            raise
        return length

    def _finish(self, file: Any) -> None:
        if self._local:
            file.flush()
            # A committed part must survive a power failure.
            os.fsync(file.fileno())
            file.close()
        else:
            file.close()
            file.commit()

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"
