"""An attempt's answer over ten tokens, and what it writes."""

import json
from typing import Any

from turnstream.turns.log import Append
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Claimed, Message, Request
from turnstream.workers.answer import Answer
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.slicer import Slicer

ID = "resp_" + 32 * "a"
#: Ids 3, 4 and 5 are text; 6 to 9 are the four bytes of an emoji.
TOKENS = ["<unk>", "<s>", "</s>", "▁Hello", "▁there", "!", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
STOP = Finish(FinishReason.STOP)


class FakeHandle:
    """Remembers whether it was cancelled."""

    cached_tokens = 5
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def make_answer(
    *,
    attempt: int = 1,
    seq: int = 2,
    ids: tuple[int, ...] = (),
    stop: tuple[str, ...] = (),
    unread: bool = False,
) -> Answer:
    """Make an attempt's answer as a worker does that has just claimed the turn."""
    request = Request(
        instructions=None, stop=stop, sampling=SamplingParams(temperature=0, top_p=1, seed=0)
    )
    claimed = Claimed(
        id=ID,
        attempt=attempt,
        seq=seq,
        request=request,
        messages=(Message("user", "Hi"),),
        rest=f'"id":"{ID}","output":[],"usage":null}}',
        ids=ids,
        unread=unread,
    )
    return Answer(claimed, Slicer(ByteTable.from_tokens(TOKENS, {0, 1, 2}), stop=stop))


def taken(answer: Answer) -> Append:
    """Take what there is to write; there must be something."""
    part = answer.take()
    assert part is not None
    return part


def events(part: Append) -> list[dict[str, Any]]:
    return [json.loads(entry.event) for entry in part.entries]
