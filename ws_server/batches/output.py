"""Collects a batch's results and writes them: into parts in the blob store, then commits them.

The order keeps each line in the output exactly once. A part counts only when the script that
commits its lines names it. A part that was written and not committed is ignored: its name has the
runner's epoch, so that it can't be confused with a part of the next runner, which writes the same
lines again.
"""

import time
from collections.abc import AsyncIterator

from turnstream.turns.batch import Batch, Commit
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.files import File, result_file_id
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.result import Result

#: A part is complete with this many lines or this many bytes.
MOST_LINES = 500
MOST_BYTES = 1024 * 1024
#: The longest time between a result and its commit is this share of the batch's age, within bounds:
#: a short batch is written at once, and one of a day in thousands of parts, not in 100 000.
SHARE_OF_AGE = 0.02
SHORTEST_SECONDS, LONGEST_SECONDS = 0.25, 30.0


class Output:
    """The results that a runner has not committed yet."""

    def __init__(self, store: BatchStore, blobs: Blobs, batch: Batch) -> None:
        self._store = store
        self._blobs = blobs
        self._batch = batch
        self._step = batch.step
        self._results: list[Result] = []
        self._bytes = 0
        self._oldest = 0.0
        self._ended_read = 0

    def add(self, result: Result) -> None:
        """Add a result."""
        if not self._results:
            self._oldest = time.time()
        self._results.append(result)
        self._bytes += len(result.text)

    @property
    def ended_read(self) -> int:
        """How many ids of the batch's ended turns were read since the last commit."""
        return self._ended_read

    def note_ended_read(self, count: int) -> None:
        """Note that the results of further ended turns were added; the next commit removes them."""
        self._ended_read += count

    @property
    def empty(self) -> bool:
        """Whether every result is committed."""
        return not self._results

    @property
    def full(self) -> bool:
        """Whether it must be committed before more is added."""
        return len(self._results) >= MOST_LINES or self._bytes >= MOST_BYTES

    @property
    def due(self) -> bool:
        """Whether it is to be committed now."""
        now = time.time()
        pause = SHARE_OF_AGE * (now - self._batch.plan.created_at)
        pause = min(max(pause, SHORTEST_SECONDS), LONGEST_SECONDS)
        return self.full or (bool(self._results) and now - self._oldest >= pause)

    async def commit(self, *, next_line: int, next_offset: int) -> None:
        """Write and commit all results; after an error it may be called again.

        Args:
            next_line: the first line that may be uncommitted afterwards.
            next_offset: where it begins.

        Raises:
            BatchLost, Overloaded, OSError
        """
        if not self._results:
            return
        step = self._step + 1
        parts = []
        for kind, answered in (("output", True), ("error", False)):
            content = b"".join(
                result.text for result in self._results if result.answered is answered
            )
            if content:
                parts.append(f"{step:08}-{self._batch.epoch}.{kind}")
                await self._blobs.put(_path(self._batch, parts[-1]), content)
        completed = sum(result.answered for result in self._results)
        commit = Commit(
            completed=completed,
            failed=len(self._results) - completed,
            input_tokens=sum(result.input_tokens for result in self._results),
            cached_tokens=sum(result.cached_tokens for result in self._results),
            output_tokens=sum(result.output_tokens for result in self._results),
            next_line=next_line,
            next_offset=next_offset,
            read=self._ended_read,
            parts=parts,
            lines=[(result.number, result.turn) for result in self._results],
        )
        await self._store.commit(self._batch, step, commit)
        self._step = step
        self._results.clear()
        self._bytes = self._ended_read = 0

    async def join(self, kind: str) -> File | None:
        """Write all parts of a kind into one file, and return it; None if there are no parts.

        It may be called again.

        Raises:
            BatchLost, Overloaded, OSError
        """
        names = [name for name in await self._store.parts(self._batch) if name.endswith(kind)]
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
        """Delete the parts; their lines are in the files."""
        await self._blobs.delete_folder(f"batches/{self._batch.id}")


def _path(batch: Batch, part: str) -> str:
    return f"batches/{batch.id}/{part}"
