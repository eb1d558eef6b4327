"""Brings one batch to its end: looks at its file, feeds its lines, joins what they gave.

All that it knows is in Redis and in the blob store, so it may be broken off anywhere, and another
one goes on.
"""

import asyncio
import json
import logging
import time
from dataclasses import dataclass, replace

from turnstream.turns.batches import Batch, Status
from turnstream.turns.errors import Overloaded
from turnstream.turns.feed import Feed
from turnstream.turns.files import Files
from turnstream.turns.shapes import Problem
from turnstream.turns.tasks import end
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.feeding import CANCELLED, EXPIRED, Feeding, patiently
from turnstream.ws_server.batches.line_reader import LineReader
from turnstream.ws_server.batches.output import Output
from turnstream.ws_server.batches.request import ENDPOINTS
from turnstream.ws_server.batches.validation import Findings, validate
from turnstream.ws_server.directory import Directory

log = logging.getLogger(__name__)

#: How often the lease is renewed, and it is heard whether somebody cancelled the batch.
RENEW_SECONDS = 1.0
_ENDPOINT = f"A batch is for one of {', '.join(ENDPOINTS)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a batch may have and take."""

    #: Lines of one batch that wait or run at a time.
    window: int
    #: Lines of a file.
    lines: int
    #: How long a batch is known after its end.
    kept_seconds: int


class Feeder:
    """The feeder of one batch."""

    def __init__(
        self,
        batch: Batch,
        feed: Feed,
        files: Files,
        blobs: Blobs,
        directory: Directory,
        limits: Limits,
    ) -> None:
        self._batch = batch
        self._feed = feed
        self._files = files
        self._blobs = blobs
        self._directory = directory
        self._limits = limits
        self._output = Output(feed, blobs, batch)
        self._feeding = Feeding(batch, feed, self._output, directory, window=limits.window)

    async def run(self) -> None:
        """Go on from wherever the batch stands.

        Raises:
            BaseExceptionGroup: of BatchLost, when another feeder has it, and of OSError, when the
                blob store is away.
        """
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew(), name="renew")
            try:
                await self._run()
            finally:
                await end([renewing])

    async def _run(self) -> None:
        batch = self._batch
        try:
            if batch.status is Status.VALIDATING:
                found = await patiently(self._validate)
                if found.problems:
                    await self._finish(Status.FAILED, problems=json.dumps(found.problems))
                    return
                batch = await patiently(lambda: self._begin(found))
            self._feeding.batch = batch
            if batch.status is Status.CANCELLING:
                self._feeding.stop = CANCELLED
            elif batch.ending is Status.EXPIRED:
                self._feeding.stop = EXPIRED
            if batch.total:
                async with self._reader(batch.next_line, batch.next_offset) as reader:
                    await self._feeding.run(reader)
        except FileNotFoundError:
            problem = _problem("input_file_not_found", "The file was deleted.", "input_file_id")
            await self._finish(Status.FAILED, problems=json.dumps([problem]))
            return
        await self._finish(await patiently(self._last_step))

    async def _validate(self) -> Findings:
        endpoint = self._batch.plan.endpoint
        if endpoint not in ENDPOINTS:
            return Findings(0, None, [_problem("invalid_endpoint", _ENDPOINT, "endpoint")])
        async with self._reader(1, 0) as reader:
            return await validate(reader, endpoint, self._directory, self._limits.lines)

    async def _begin(self, found: Findings) -> Batch:
        status = await self._feed.step(
            self._batch,
            Status.VALIDATING,
            Status.IN_PROGRESS,
            in_progress_at=int(time.time()),
            total=found.total,
            model=found.model or "",
        )
        if status is Status.CANCELLING:
            return replace(self._batch, status=status)
        return replace(self._batch, status=status, total=found.total, model=found.model)

    async def _last_step(self) -> Status:
        if self._feeding.stop:
            return self._feeding.stop.ending
        now = int(time.time())
        status = await self._feed.step(
            self._batch, Status.IN_PROGRESS, Status.FINALIZING, finalizing_at=now
        )
        return Status.CANCELLED if status is Status.CANCELLING else Status.COMPLETED

    async def _finish(self, ending: Status, **fields: str) -> None:
        for kind in ("output", "error"):
            file = await patiently(lambda kind=kind: self._output.join(kind))  # type: ignore[misc]
            if file is not None:
                await patiently(lambda file=file: self._files.add(file))  # type: ignore[misc]
                fields[f"{kind}_file_id"] = file.id
        fields[f"{ending}_at"] = str(int(time.time()))
        kept = self._limits.kept_seconds
        await patiently(lambda: self._feed.end(self._batch, ending, kept, **fields))
        await self._output.clear()
        log.info("%s: %s", self._batch.id, ending)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                status = await self._feed.renew(self._batch)
            except Overloaded:
                continue
            if status is Status.CANCELLING and self._feeding.stop is None:
                self._feeding.stop = CANCELLED

    def _reader(self, line: int, offset: int) -> LineReader:
        path = f"files/{self._batch.plan.input_file_id}"
        return LineReader(self._blobs, path, line=line, offset=offset)


def _problem(code: str, message: str, param: str) -> Problem:
    return {"code": code, "message": message, "param": param, "line": None}
