"""A worker that a test controls, so that an answer can stop half-way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from turnstream.prompts.tools import Arguments, CallBegun, CallEnded, Part
from turnstream.turns import events
from turnstream.turns.errors import ContextLengthExceeded
from turnstream.turns.log import Append, Entry, Final, Log, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.response import error_json, finished_response, message_item
from turnstream.turns.shapes import Cut, OutputItem
from turnstream.turns.turn import Claimed
from turnstream.workers.output_items import OutputItems

MODEL = "tiny"
ABOUT = {"created": 0, "context": 64, "temperature": 1.0, "top_p": 1.0}


@dataclass(slots=True)
class FakeWorker:
    """A worker that claims and writes when a test calls it."""

    queue: TurnQueue
    log: Log
    attempt: int = 0
    claimed: Claimed | None = None
    seq: int = 0
    text: str = ""
    opened: bool = False

    async def claim(self) -> Claimed:
        """Claim the next turn; wait until there is one."""
        async with asyncio.timeout(20):
            while (claimed := self.queue.claim(1)) is None:
                await asyncio.sleep(0.02)
        self.claimed, self.seq = claimed, claimed.seq + 1
        self.text, self.opened = "", False
        return claimed

    def heartbeat(self) -> None:
        """Send one heartbeat."""
        self.queue.heartbeat([], ABOUT, slots=1)

    async def cancelled(self) -> None:
        """Wait until the turn is to be cancelled."""
        await self._told("cancel")

    async def steered(self) -> None:
        """Wait until the turn is to end for new input, and end it."""
        await self._told("steer")
        self.end("incomplete", reason="steered")

    async def _told(self, word: str) -> None:
        assert self.claimed is not None
        mine = [(self.claimed.id, self.claimed.attempt)]
        async with asyncio.timeout(20):
            while self.queue.heartbeat(mine, ABOUT, slots=4) != [word]:
                await asyncio.sleep(0.02)

    def say(self, *slices: str) -> None:
        """Write slices of the answer, in one step."""
        assert self.claimed is not None
        written: list[str] = []
        if not self.opened:
            self.opened = True
            written += events.opening(self.claimed.id, self.seq)
        for text in slices:
            written.append(events.text_delta(self.claimed.id, self.seq + len(written), text))
        self.text += "".join(slices)
        self._append(written)

    def call(self, *calls: tuple[str, str]) -> None:
        """Answer with calls of tools and nothing else, each a name and its arguments."""
        assert self.claimed is not None
        items = OutputItems(self.claimed.id, None)
        parts: list[Part] = []
        for name, arguments in calls:
            parts += (CallBegun(name), Arguments(arguments), CallEnded())
        written = items.add(parts, self.seq)
        output, calls_json = items.items(completed=True), items.calls_json()
        response = self._finished(output, "completed")
        written.append(events.terminal(self.seq + len(written), "completed", "null", response))
        final = Final(
            status="completed", error="null", response=response, text="", calls=calls_json
        )
        self._append(written, final)

    def end(
        self,
        status: str = "completed",
        *,
        error: str = "null",
        reason: Cut = "max_output_tokens",
    ) -> None:
        """Write the end of the answer."""
        assert self.claimed is not None
        written: list[str] = []
        item = message_item(self.claimed.id, "completed", self.text)
        if self.opened and status != "failed":
            written += events.closing(self.seq, 0, item)
        response = self._finished((item,), status, reason)
        written.append(events.terminal(self.seq + len(written), status, error, response))
        self._append(written, Final(status=status, error=error, response=response, text=self.text))

    def _finished(
        self, output: Sequence[OutputItem], status: str, reason: Cut = "max_output_tokens"
    ) -> str:
        assert self.claimed is not None
        return finished_response(
            self.claimed.response,
            output=output,
            incomplete_reason=reason if status == "incomplete" else None,
            input_tokens=3,
            cached_tokens=0,
            output_tokens=4,
            completed_at=5,
        )

    def refuse(self) -> None:
        """Fail the turn as a worker does that finds its request invalid."""
        assert self.claimed is not None
        late = ContextLengthExceeded(70, 64)
        body = error_json("invalid_prompt", late.message)
        final = Final(status="failed", error=body, response=self.claimed.response, text="")
        self._append([events.refused(self.seq, late)], final)

    def _append(self, written: list[str], final: Final | None = None) -> None:
        assert self.claimed is not None
        part = Append(
            id=self.claimed.id,
            attempt=self.claimed.attempt,
            first=self.seq,
            entries=tuple(map(Entry, written)),
            final=final,
        )
        assert self.log.append([part]) == [Verdict.OK]
        self.seq += len(written)
