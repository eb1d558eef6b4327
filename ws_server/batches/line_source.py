"""Reads and parses the uncommitted lines of a batch's file, a few at a time.

A line is parsed once in each pass over the file. There are two passes, because a file is refused
whole if one line is bad, and a million parsed requests do not fit in memory between the passes:
validation parses each line and keeps none; the run parses each line again when there is room to
submit it, and keeps the request until it is submitted. A runner that takes the batch over makes a
pass of its own from the first uncommitted line, and skips committed lines without parsing them.
"""

import time
from collections import deque

from turnstream.turns.batch import Batch, CommittedLines, line_turn_id
from turnstream.turns.errors import BadRequest
from turnstream.ws_server.batches.line_reader import FileLine, LineReader
from turnstream.ws_server.batches.request import STEP_SECONDS, read_line
from turnstream.ws_server.batches.window import Line, Position, ReadLine
from turnstream.ws_server.create import Create
from turnstream.ws_server.unexpected import Unexpected, confined

#: The request of a line, or why it is none. The file was validated, but maybe by a node of an
#: older release that accepted more.
ParsedRequest = Create | BadRequest | Unexpected


class LineSource:
    """The lines of a batch that are not committed, in the order of the file."""

    def __init__(self, reader: LineReader, batch: Batch, committed: CommittedLines) -> None:
        self._reader = reader
        self._batch = batch
        self._committed = committed
        #: Lines of the last chunk of the file that are not parsed yet.
        self._chunk: deque[FileLine] = deque()

    async def next_lines(self, count: int) -> list[ReadLine[ParsedRequest]]:
        """Read and parse at least one and at most `count` lines; none at the end of the file.

        Raises:
            OSError: the blob store is unavailable.
        """
        while not self._chunk and (lines := await self._reader.next_lines()):
            self._chunk.extend(line for line in lines if line.number not in self._committed)
        found: list[ReadLine[ParsedRequest]] = []
        until = time.monotonic() + STEP_SECONDS
        while self._chunk and len(found) < count and (not found or time.monotonic() < until):
            found.append(await self._parse(self._chunk.popleft()))
        return found

    @property
    def unread(self) -> Position:
        """Where the next line begins."""
        first = self._chunk[0] if self._chunk else self._reader
        return Position(first.number, first.offset)

    async def _parse(self, line: FileLine) -> ReadLine[ParsedRequest]:
        custom_id = ""
        parsed: ParsedRequest
        try:
            with confined(f"line {line.number} of {self._batch.id}"):
                custom_id, parsed = await read_line(line.text, self._batch.plan.endpoint)
        except (BadRequest, Unexpected) as exc:
            parsed = exc
        turn = line_turn_id(self._batch.id, line.number)
        position, size = Position(line.number, line.offset), len(line.text or b"")
        return ReadLine(Line(position, turn, custom_id, size), parsed)
