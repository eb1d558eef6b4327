"""Attempts over a vocabulary of ten tokens, and what they write."""

import json
from typing import Any

from turnstream.turns.log import Append
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Claimed, Message, Request
from turnstream.workers.answer_reader import AnswerReader
from turnstream.workers.attempt import Attempt, Callbacks
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.slicer import Slicer

ID = "resp_" + 32 * "a"
#: Ids 3, 4 and 5 are text; 6 to 9 are the four bytes of an emoji.
TOKENS = ["<unk>", "<s>", "</s>", "▁Hello", "▁there", "!", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
STOP = Finish(FinishReason.STOP)
CANCELLED = Finish(FinishReason.CANCELLED)


class FakeHandle:
    """Records whether it was cancelled."""

    cached_tokens = 5
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Calls:
    """Counts what an attempt calls."""

    def __init__(self) -> None:
        self.writes = 0
        self.slot_changes = 0
        self.healthy = True

    def callbacks(self) -> Callbacks:
        return Callbacks(
            write_after_step=self._write,
            slot_changed=self._slot_changed,
            engine_healthy=lambda: self.healthy,
        )

    def _write(self) -> None:
        self.writes += 1

    def _slot_changed(self) -> None:
        self.slot_changes += 1


def make_attempt(
    *,
    attempt: int = 1,
    seq: int = 2,
    ids: tuple[int, ...] = (),
    stop: tuple[str, ...] = (),
    unread: bool = False,
    input_tokens: int = 0,
    logprobs: tuple[TokenLogprobs, ...] = (),
    top_logprobs: int | None = None,
    min_tokens: int = 0,
    calls: Calls | None = None,
) -> Attempt:
    """Make an attempt at a turn that was just claimed."""
    sampling = SamplingParams(temperature=0, top_logprobs=top_logprobs, min_tokens=min_tokens)
    request = Request(instructions=None, stop=stop, sampling=sampling)
    claimed = Claimed(
        id=ID,
        attempt=attempt,
        seq=seq,
        request=request,
        messages=(Message("user", "Hi"),),
        response=f'"id":"{ID}","output":[],"usage":null}}',
        token_ids=ids,
        logprobs=logprobs,
        unread=unread,
    )
    table = ByteTable.from_tokens(TOKENS, {0, 1, 2})
    return Attempt(
        claimed,
        AnswerReader(Slicer(table, stop=stop)),
        (calls or Calls()).callbacks(),
        input_tokens=input_tokens,
        vocabulary=Vocabulary(table, TOKENS),
    )


def taken(attempt: Attempt) -> Append:
    """Take the events to write; there must be some."""
    part = attempt.take()
    assert part is not None
    return part


def events(part: Append) -> list[dict[str, Any]]:
    return [json.loads(entry.event) for entry in part.entries]
