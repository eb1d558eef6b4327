"""Runs one batch to its end: validates its file, submits its lines as turns, writes its results.

All state is in Redis and in the blob store, so a runner may be interrupted anywhere and another
one continues. Each round of the loop can be repeated: if Redis becomes unavailable in the middle of
one, the window still has every line.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from turnstream.turns.batch import Batch, Status, Verdict
from turnstream.turns.batch_store import MOST_PER_CALL, BatchStore
from turnstream.turns.errors import Overloaded, TurnError
from turnstream.turns.event_json import encode
from turnstream.turns.files import Files
from turnstream.turns.tasks import background
from turnstream.turns.turn import BatchLine, Turn
from turnstream.ws_server.batches.blobs import Blobs
from turnstream.ws_server.batches.limits import BatchLimits
from turnstream.ws_server.batches.line_reader import LineReader
from turnstream.ws_server.batches.line_source import LineSource, ParsedRequest
from turnstream.ws_server.batches.output import Output
from turnstream.ws_server.batches.request import ENDPOINTS
from turnstream.ws_server.batches.result import (
    Result,
    ended_result,
    refused_result,
    rejected_result,
    stopped_result,
)
from turnstream.ws_server.batches.retry import RETRY_SECONDS, retry_while_unavailable
from turnstream.ws_server.batches.stop import CANCELLED, EXPIRED, Stop, stop_of
from turnstream.ws_server.batches.validation import Findings, problem, validate
from turnstream.ws_server.batches.window import Line, Position, Window
from turnstream.ws_server.create import Create
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.grammar_check import GrammarCheck

log = logging.getLogger(__name__)

#: How often the lease is renewed and a cancellation is noticed.
RENEW_SECONDS = 1.0
#: How often ended turns are looked for while there are none.
LOOK_SECONDS = 0.1
_ENDPOINT = f"A batch is for one of {', '.join(ENDPOINTS)}."


class BatchRunner:
    """The runner of one batch."""

    def __init__(
        self,
        batch: Batch,
        store: BatchStore,
        files: Files,
        blobs: Blobs,
        directory: Directory,
        grammars: GrammarCheck,
        limits: BatchLimits,
    ) -> None:
        self._batch = batch
        self._store = store
        self._files = files
        self._blobs = blobs
        self._directory = directory
        self._grammars = grammars
        self._limits = limits
        self._output = Output(store, blobs, batch)
        start = Position(batch.next_line, batch.next_offset)
        self._window: Window[ParsedRequest] = Window(
            start, size=limits.window, most_per_call=MOST_PER_CALL
        )
        self._stop = stop_of(batch)
        #: Whether the turns that were submitted before the stop are cancelled.
        self._turns_cancelled = False

    async def run(self) -> None:
        """Continue the batch from its present status to its end.

        Raises:
            BaseExceptionGroup: of BatchLost, when another runner has taken the batch, and of
                OSError, when the blob store is unavailable.
        """
        async with background(renew=self._renew()):
            await self._run()

    async def give_up(self) -> None:
        """End the batch as failed, without results: its runners have failed too often."""
        found = problem("server_error", "The server failed on this batch.", None)
        fields = {"problems": encode([found]), f"{Status.FAILED}_at": str(int(time.time()))}
        await self._store.end(self._batch, Status.FAILED, self._limits.kept_seconds, **fields)
        await self._output.clear()

    async def _run(self) -> None:
        try:
            if self._batch.status is Status.VALIDATING:
                found = await retry_while_unavailable(self._validate)
                if found.problems:
                    await self._finish(Status.FAILED, problems=encode(found.problems))
                    return
                self._batch = await retry_while_unavailable(lambda: self._begin(found))
            if self._batch.status is Status.CANCELLING:
                self._stop_because(CANCELLED)
            if self._batch.total:
                batch = self._batch
                async with self._reader(batch.next_line, batch.next_offset) as reader:
                    await self._run_lines(reader)
        except FileNotFoundError:
            gone = problem("input_file_not_found", "The file was deleted.", "input_file_id")
            await self._finish(Status.FAILED, problems=encode([gone]))
            return
        await self._finish(await retry_while_unavailable(self._final_status))

    async def _validate(self) -> Findings:
        owner, endpoint = self._batch.owner, self._batch.plan.endpoint
        if endpoint not in ENDPOINTS:
            return Findings(0, None, [problem("invalid_endpoint", _ENDPOINT, "endpoint")])
        async with self._reader(1, 0) as reader:
            return await validate(
                reader, owner, endpoint, self._directory, self._grammars, self._limits.lines
            )

    async def _begin(self, found: Findings) -> Batch:
        status = await self._store.advance(
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

    async def _run_lines(self, reader: LineReader) -> None:
        batch = self._batch
        committed = await retry_while_unavailable(lambda: self._store.committed_lines(batch))
        source = LineSource(reader, batch, committed)
        while not (self._window.all_ended and self._output.empty):
            try:
                busy = await self._round(source)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(0 if busy else LOOK_SECONDS)

    async def _round(self, source: LineSource) -> bool:
        await self._check_expiry()
        if self._stop and not self._turns_cancelled:
            await self._cancel_turns()
        busy = False
        if not self._output.full:
            await self._read(source)
            busy = await self._submit()
            busy = await self._collect() or busy
        if self._output.due or self._window.all_ended:
            position = self._window.position
            await self._output.commit(next_line=position.number, next_offset=position.offset)
        return busy

    async def _read(self, source: LineSource) -> None:
        count = self._window.lines_to_read(time.monotonic())
        if count == 0:
            return
        lines = await source.next_lines(count)
        self._window.read(lines, unread=source.unread)
        if not lines:
            self._window.read_to_end()

    async def _submit(self) -> bool:
        lines = self._window.lines_to_submit(time.monotonic())
        if not lines:
            return False
        requests: list[tuple[Line, Create]] = []
        for read in lines:
            if isinstance(read.request, TurnError):
                self._end_line(read.line.turn, refused_result(read.line, read.request))
            else:
                requests.append((read.line, read.request))
        ids = [line.turn for line, _ in requests]
        if self._stop:
            verdicts = await self._store.cancel_lines(self._batch, ids)
        else:
            verdicts = await self._store.submit_lines(self._batch, await self._turns(requests))
        ended_ids = [
            id for id, verdict in zip(ids, verdicts, strict=True) if verdict is Verdict.ENDED
        ]
        ended = await self._store.ended_turns(ended_ids)
        # Nothing below can fail, so that the window and the output change together.
        ends = dict(zip(ended_ids, ended, strict=True))
        for (line, create), verdict in zip(requests, verdicts, strict=True):
            match verdict:
                case Verdict.ACCEPTED:
                    self._window.submitted(line)
                case Verdict.POSTPONED:
                    self._window.postponed(time.monotonic())
                case Verdict.ENDED:
                    result = ended_result(
                        line, ends[line.turn], self._batch.plan.endpoint, self._stop
                    )
                    self._end_line(line.turn, result)
                case _:
                    self._end_line(line.turn, rejected_result(line, create, verdict, self._stop))
        return Verdict.POSTPONED not in verdicts

    async def _turns(self, requests: Sequence[tuple[Line, Create]]) -> list[Turn]:
        batch = self._batch
        model = await self._directory.find(batch.model)
        return [
            replace(
                create.turn(batch.owner, model, previous_cached=False),
                id=line.turn,
                tier="batch",
                # The turn is deleted when its line is committed to the output.
                store=False,
                idempotency_key=None,
                batch=BatchLine(batch=batch.id, epoch=batch.epoch, number=line.position.number),
            )
            for line, create in requests
        ]

    async def _collect(self) -> bool:
        ids = await self._store.ended_ids(self._batch, self._output.ended_read)
        found = (self._window.find(id) for id in dict.fromkeys(ids))
        lines = [line for line in found if line is not None]
        ended = await self._store.ended_turns([line.turn for line in lines])
        for line, turn in zip(lines, ended, strict=True):
            self._end_line(
                line.turn, ended_result(line, turn, self._batch.plan.endpoint, self._stop)
            )
        self._output.note_ended_read(len(ids))
        for line in self._window.lines_to_give_up(time.monotonic()):
            self._end_line(line.turn, stopped_result(line, self._stop))
        return bool(ids)

    async def _check_expiry(self) -> None:
        if self._stop or time.time() < self._batch.plan.expires_at:
            return
        status = await self._store.advance(
            self._batch,
            Status.IN_PROGRESS,
            Status.FINALIZING,
            finalizing_at=int(time.time()),
            ending=Status.EXPIRED,
        )
        self._stop_because(CANCELLED if status is Status.CANCELLING else EXPIRED)

    def _stop_because(self, stop: Stop) -> None:
        # The first reason holds: results may already have been written with it.
        self._stop = self._stop or stop

    async def _cancel_turns(self) -> None:
        ids = self._window.turns()
        for i in range(0, len(ids), MOST_PER_CALL):
            # Each will be in the list of ended turns, as if it had ended by itself.
            await self._store.cancel_lines(self._batch, ids[i : i + MOST_PER_CALL])
        self._turns_cancelled = True
        self._window.cancelled(time.monotonic())

    def _end_line(self, turn: str, result: Result) -> None:
        self._window.ended(turn)
        self._output.add(result)

    async def _final_status(self) -> Status:
        if self._stop:
            return self._stop.ending
        step = (self._batch, Status.IN_PROGRESS, Status.FINALIZING)
        status = await self._store.advance(*step, finalizing_at=int(time.time()))
        return Status.CANCELLED if status is Status.CANCELLING else Status.COMPLETED

    async def _finish(self, ending: Status, **fields: str) -> None:
        for kind in ("output", "error"):
            file = await retry_while_unavailable(partial(self._output.join, kind))
            if file is not None:
                await retry_while_unavailable(partial(self._files.add, file))
                fields[f"{kind}_file_id"] = file.id
        fields[f"{ending}_at"] = str(int(time.time()))
        kept = self._limits.kept_seconds
        await retry_while_unavailable(lambda: self._store.end(self._batch, ending, kept, **fields))
        await self._output.clear()
        log.info("%s: %s", self._batch.id, ending)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                status = await self._store.renew(self._batch)
            except Overloaded:
                continue
            if status is Status.CANCELLING:
                self._stop_because(CANCELLED)

    def _reader(self, line: int, offset: int) -> LineReader:
        path, most = f"files/{self._batch.plan.input_file_id}", self._limits.line_bytes
        return LineReader(self._blobs, path, line_bytes=most, line=line, offset=offset)
