"""The loop that hands a batch's lines in as turns, hears of their ends, and has them written.

A bounded number of lines is under way at any time, whatever the size of the file. Every round can
be repeated: when Redis is away in the middle of one, nothing was taken off any list here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from turnstream.turns.batches import Batch, Status
from turnstream.turns.errors import BadRequest, Overloaded, PreviousResponseNotFound
from turnstream.turns.feed import AT_ONCE, Ended, Feed, Verdict, turn_id
from turnstream.turns.turn import BatchLine, Turn
from turnstream.ws_server.batches.line_reader import FileLine, LineReader
from turnstream.ws_server.batches.output import Output
from turnstream.ws_server.batches.request import BulkRequest, read_request
from turnstream.ws_server.batches.result import Result, never_ran, refusal, result_of
from turnstream.ws_server.directory import Directory

#: How often ended turns are looked for while there are none, and how soon what found Redis away, or
#: no room in line, is tried again.
LOOK_SECONDS = 0.1
RETRY_SECONDS = 0.25
#: Turns that were told to stop and haven't by then are given up.
STOP_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stop:
    """Why no further line is answered."""

    ending: Status
    code: str
    message: str


CANCELLED = Stop(
    Status.CANCELLED,
    "batch_cancelled",
    "This request was not completed before its batch was cancelled.",
)
EXPIRED = Stop(
    Status.EXPIRED,
    "batch_expired",
    "This request could not be executed before the completion window expired.",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A line whose turn waits or runs."""

    number: int
    offset: int
    custom_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line that is about to be handed in."""

    id: str
    line: FileLine
    request: BulkRequest


class Feeding:
    """A batch's lines on their way."""

    def __init__(
        self, batch: Batch, feed: Feed, output: Output, directory: Directory, *, window: int
    ) -> None:
        self.batch = batch
        self._feed = feed
        self._output = output
        self._directory = directory
        self._window = window
        self.stop: Stop | None = None
        self._stopped = False
        #: When turns that were told to stop are given up.
        self._given_up = float("inf")
        self._sent: dict[str, Sent] = {}
        #: Lines that were read and are not handed in yet; at most a stretch of the file.
        self._lines: deque[FileLine] = deque()
        self._read_all = False
        self._paused_until = 0.0

    async def run(self, reader: LineReader) -> None:
        """Bring every line to a result that is written and marked.

        Raises:
            BatchLost: another feeder has the batch.
            OSError: the blob store is away.
        """
        self._marks = await patiently(lambda: self._feed.marks(self.batch))
        while not (self._read_all and not self._lines and not self._sent and self._output.empty):
            try:
                busy = await self._round(reader)
            except Overloaded:
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(0 if busy else LOOK_SECONDS)

    async def _round(self, reader: LineReader) -> bool:
        await self._heed_the_time()
        if self.stop and not self._stopped:
            await self._stop_all(self.stop)
        busy = False
        if not self._output.full:
            busy = await self._submit_turn(reader)
            busy = await self._hear() or busy
        last = self._read_all and not self._lines and not self._sent
        if self._output.due or last:
            await self._write(reader)
        return busy

    async def _submit_turn(self, reader: LineReader) -> bool:
        count = min(self._window - len(self._sent), AT_ONCE)
        if count <= 0 or time.monotonic() < self._paused_until:
            return False
        while not self._lines and not self._read_all:
            stretch = await reader.stretch()
            self._read_all = not stretch
            self._lines.extend(line for line in stretch if line.number not in self._marks)
        lines = list(islice(self._lines, count))
        results: list[Result] = []
        wanted: list[Wanted] = []
        for line in lines:
            id = turn_id(self.batch.id, line.number)
            try:
                request = read_request(line.text, self.batch.plan.endpoint)
            except BadRequest as exc:  # the file was good: its reader is newer than its check
                results.append(refusal(id, line.number, "", exc))
            else:
                wanted.append(Wanted(id, line, request))
        if self.stop:
            verdicts = await self._feed.cancel(self.batch, [each.id for each in wanted])
        else:
            verdicts = await self._feed.submit(self.batch, await self._turns(wanted))
        answered = zip(wanted, verdicts, strict=True)
        ended = [each for each, verdict in answered if verdict is Verdict.ENDED]
        ends = await self._feed.ends([each.id for each in ended])
        # From here on nothing can fail half-way.
        for _ in lines:
            self._lines.popleft()
        for result in results:
            self._output.add(result)
        for each, end in zip(ended, ends, strict=True):
            self._output.add(self._result(each.id, _sent(each), end))
        later = []
        for each, verdict in zip(wanted, verdicts, strict=True):
            if verdict is Verdict.LATER:
                later.append(each.line)
            elif verdict is Verdict.TAKEN:
                self._sent[each.id] = _sent(each)
            elif verdict is not Verdict.ENDED:
                self._output.add(self._not_taken(each, verdict))
        if later:
            self._lines.extendleft(reversed(later))
            self._paused_until = time.monotonic() + RETRY_SECONDS
        return bool(lines) and not later

    async def _turns(self, wanted: Sequence[Wanted]) -> list[Turn]:
        batch = self.batch
        model = await self._directory.find(batch.model)
        return [
            replace(
                each.request.create.turn(batch.owner, model, parent_cached=False),
                id=each.id,
                tier="batch",
                # The answer is kept in the output, and its turn until it is there.
                store=False,
                idempotency_key=None,
                batch=BatchLine(batch=batch.id, epoch=batch.epoch, number=each.line.number),
            )
            for each in wanted
        ]

    async def _hear(self) -> bool:
        ids = await self._feed.ended(self.batch, self._output.read)
        known = [id for id in dict.fromkeys(ids) if id in self._sent]
        ends = await self._feed.ends(known)
        for id, end in zip(known, ends, strict=True):
            self._output.add(self._result(id, self._sent.pop(id), end))
        self._output.read += len(ids)
        if time.monotonic() > self._given_up:
            for id in list(self._sent)[:AT_ONCE]:
                self._output.add(self._stopped_line(id, self._sent.pop(id)))
        return bool(ids)

    async def _write(self, reader: LineReader) -> None:
        first = self._lines[0] if self._lines else reader
        places = [(sent.number, sent.offset) for sent in self._sent.values()]
        number, offset = min([*places, (first.number, first.offset)])
        await self._output.write(next_line=number, next_offset=offset)

    async def _heed_the_time(self) -> None:
        if self.stop or time.time() < self.batch.plan.expires_at:
            return
        status = await self._feed.step(
            self.batch,
            Status.IN_PROGRESS,
            Status.FINALIZING,
            finalizing_at=int(time.time()),
            ending=Status.EXPIRED,
        )
        self.stop = CANCELLED if status is Status.CANCELLING else EXPIRED

    async def _stop_all(self, stop: Stop) -> None:
        ids = list(self._sent)
        for i in range(0, len(ids), AT_ONCE):
            # The end of each comes by the batch's list, as if it had ended by itself.
            await self._feed.cancel(self.batch, ids[i : i + AT_ONCE])
        self._stopped = True
        self._given_up = time.monotonic() + STOP_SECONDS

    def _result(self, id: str, sent: Sent, end: Ended | None) -> Result:
        match end:
            case None:
                message = "The answer was deleted before it could be written."
                return never_ran(id, sent.number, sent.custom_id, "response_deleted", message)
            case Ended(status="cancelled"):
                return self._stopped_line(id, sent)
            case _:
                return result_of(end, sent.number, sent.custom_id, self.batch.plan.endpoint)

    def _stopped_line(self, id: str, sent: Sent) -> Result:
        code, message = "request_cancelled", "This request was cancelled."
        if self.stop:
            code, message = self.stop.code, self.stop.message
        return never_ran(id, sent.number, sent.custom_id, code, message, turn=id)

    def _not_taken(self, each: Wanted, verdict: Verdict) -> Result:
        number, custom_id = each.line.number, each.request.custom_id
        parent = each.request.create.previous_response_id or ""
        match verdict:
            case Verdict.NO_PARENT:
                return refusal(each.id, number, custom_id, PreviousResponseNotFound(parent))
            case Verdict.PARENT_RUNNING:
                running = BadRequest(
                    f"Previous response '{parent}' is still being answered.",
                    code="previous_response_running",
                    param="previous_response_id",
                )
                return refusal(each.id, number, custom_id, running)
            case _:
                assert self.stop is not None
                return never_ran(each.id, number, custom_id, self.stop.code, self.stop.message)


def _sent(wanted: Wanted) -> Sent:
    return Sent(wanted.line.number, wanted.line.offset, wanted.request.custom_id)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Do something again and again while Redis is away; a feeder's wait ends with its node."""
    while True:
        try:
            return await call()
        except Overloaded:
            await asyncio.sleep(RETRY_SECONDS)
