"""Reads the lines of a file from any position on, a chunk at a time, in bounded memory."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from turnstream.ws_server.batches.blobs import CHUNK, Blobs


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of a file."""

    #: From 1.
    number: int
    #: Where it begins, in bytes.
    offset: int
    #: Without the line end; None if it is too long.
    text: bytes | None


class LineReader:
    """Reads a file's lines; an async context manager."""

    def __init__(
        self, blobs: Blobs, path: str, *, line_bytes: int, line: int = 1, offset: int = 0
    ) -> None:
        #: Bytes that a line may have; a longer one is reported without its text.
        self._most = line_bytes
        self._blobs = blobs
        self._path = path
        #: The next line.
        self.number = line
        self.offset = offset
        self._rest = b""
        #: Bytes of a line that is too long, discarded already.
        self._dropped = 0
        self._file: Any = None

    async def __aenter__(self) -> Self:
        self._file = await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._file.close)

    async def next_lines(self) -> list[FileLine]:
        """Return the next lines without empty ones; none at the end of the file."""
        found: list[FileLine] = []
        while not found:
            chunk: bytes = await asyncio.to_thread(self._file.read, CHUNK)
            if not chunk:
                if self._rest or self._dropped:
                    self._take(self._rest, 0, found)
                    self._rest = b""
                return found
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._take(line, 1, found)
            if len(self._rest) > self._most:
                self._dropped += len(self._rest)
                self._rest = b""
        return found

    def _take(self, line: bytes, end: int, found: list[FileLine]) -> None:
        length = self._dropped + len(line)
        if length > self._most:
            found.append(FileLine(self.number, self.offset, None))
        elif line.strip():
            found.append(FileLine(self.number, self.offset, line))
        self._dropped = 0
        self.number += 1
        self.offset += length + end

    def _open(self) -> Any:
        file = self._blobs.open(self._path)
        file.seek(self.offset)
        return file
