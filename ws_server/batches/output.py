"""Gathers a batch's results and writes them: into parts of the blob store, then into the marks.

The order is what keeps each line in the output exactly once. A part counts only when the marks name
it, by the same script that marks its lines; one that was written and never marked is in nobody's
way, since its name has the feeder's epoch and the next feeder writes the same lines again.
"""

import time
from collections.abc import AsyncIterator

from turnstream.turns.batches import Batch
from turnstream.turns.feed import Feed, Mark
from turnstream.turns.files import File, result_file_id
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.result import Result

#: A part has at most so many lines, and no more is added to one with so many bytes.
MOST_LINES = 500
MOST_BYTES = 1024 * 1024
#: The oldest result waits for so long a share of the batch's age, within bounds: a batch of seconds
#: is written at once, one of a day in thousands of parts and not in a hundred thousand.
SHARE_OF_AGE = 0.02
SHORTEST_SECONDS, LONGEST_SECONDS = 0.25, 30.0


class Output:
    """What a feeder has to write."""

    def __init__(self, feed: Feed, blobs: Blobs, batch: Batch) -> None:
        self._feed = feed
        self._blobs = blobs
        self._batch = batch
        self._step = batch.step
        self._results: list[Result] = []
        self._bytes = 0
        self._oldest = 0.0
        #: Entries of the batch's list of ended turns that were read since the last mark.
        self.read = 0

    def add(self, result: Result) -> None:
        """Take in a result."""
        if not self._results:
            self._oldest = time.time()
        self._results.append(result)
        self._bytes += len(result.text)

    @property
    def empty(self) -> bool:
        """Whether everything is written."""
        return not self._results

    @property
    def full(self) -> bool:
        """Whether nothing more is to be added before it is written."""
        return len(self._results) >= MOST_LINES or self._bytes >= MOST_BYTES

    @property
    def due(self) -> bool:
        """Whether it is to be written now."""
        now = time.time()
        pause = SHARE_OF_AGE * (now - self._batch.plan.created_at)
        pause = min(max(pause, SHORTEST_SECONDS), LONGEST_SECONDS)
        return self.full or (bool(self._results) and now - self._oldest >= pause)

    async def write(self, *, next_line: int, next_offset: int) -> None:
        """Write what there is; safe to be called again after an error.

        Args:
            next_line: the first line that may not be marked afterwards, which begins at
                `next_offset`.

        Raises:
            BatchLost, Overloaded, OSError
        """
        if not self._results:
            return
        step = self._step + 1
        parts = []
        for kind, good in (("output", True), ("error", False)):
            content = b"".join(result.text for result in self._results if result.good is good)
            if content:
                parts.append(f"{step:08}-{self._batch.epoch}.{kind}")
                await self._blobs.put(_path(self._batch, parts[-1]), content)
        completed = sum(result.good for result in self._results)
        mark = Mark(
            completed=completed,
            failed=len(self._results) - completed,
            input_tokens=sum(result.input_tokens for result in self._results),
            cached_tokens=sum(result.cached_tokens for result in self._results),
            output_tokens=sum(result.output_tokens for result in self._results),
            next_line=next_line,
            next_offset=next_offset,
            read=self.read,
            parts=parts,
            lines=[(result.number, result.turn) for result in self._results],
        )
        await self._feed.mark(self._batch, step, mark)
        self._step = step
        self._results.clear()
        self._bytes = self.read = 0

    async def join(self, kind: str) -> File | None:
        """Write all parts of a kind into one file; none if there are none. May be done again.

        Raises:
            BatchLost, Overloaded, OSError
        """
        names = [name for name in await self._feed.parts(self._batch) if name.endswith(kind)]
        if not names:
            return None

        async def content() -> AsyncIterator[bytes]:
            for name in names:
                async for chunk in self._blobs.read(_path(self._batch, name)):
                    yield chunk

        batch, now = self._batch, int(time.time())
        id = result_file_id(batch.id, kind)
        length = await self._blobs.write(f"files/{id}", content())
        return File(
            id=id,
            owner=batch.owner,
            filename=f"{batch.id}_{kind}.jsonl",
            purpose="batch_output",
            bytes=length,
            created_at=now,
            expires_at=now + batch.plan.output_seconds,
        )

    async def clear(self) -> None:
        """Remove the parts: their lines are in the files."""
        await self._blobs.delete_folder(f"batches/{self._batch.id}")


def _path(batch: Batch, part: str) -> str:
    return f"batches/{batch.id}/{part}"
