"""The numbered events of a turn, as the JSON that reaches the reader unchanged.

`response.created`, `queued` and `in_progress` are written by the scripts in Redis, which know the
order of turns; every event from the first text on is written here, by the worker.
"""

from collections.abc import Sequence

from turnstream.turns import event_shapes
from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, response_event, response_json, with_snapshot
from turnstream.turns.ids import message_id
from turnstream.turns.response import logprobs_of, message_item
from turnstream.turns.shapes import MessageItem, MessageStatus, OutputText, TokenLogprob


def still_in_progress(seq: int, response: str) -> str:
    """Return another `response.in_progress`, for a turn whose first slice takes long."""
    return response_event(
        "response.in_progress", seq, response_json("in_progress", "null", response)
    )


def opening(response_id: str, seq: int) -> list[str]:
    """Return the two events that open an answer."""
    item = MessageItem(id=message_id(response_id), status="in_progress", content=())
    part = event_shapes.ContentPartAdded(
        sequence_number=seq + 1, item_id=item.id, part=OutputText(text="")
    )
    return [encode(event_shapes.OutputItemAdded(sequence_number=seq, item=item)), encode(part)]


def text_delta(response_id: str, seq: int, text: str, logprobs: Sequence[TokenLogprob] = ()) -> str:
    """Return a slice."""
    return encode(
        event_shapes.TextDelta(
            sequence_number=seq,
            item_id=message_id(response_id),
            delta=text,
            logprobs=tuple(logprobs),
        )
    )


def closing(
    response_id: str,
    seq: int,
    status: MessageStatus,
    text: str,
    logprobs: Sequence[TokenLogprob] = (),
) -> list[str]:
    """Return the three events that close an answer; `status` is the item's."""
    item = message_item(response_id, status, text, logprobs)
    [whole] = item.content
    done = event_shapes.TextDone(
        sequence_number=seq, item_id=item.id, text=text, logprobs=whole.logprobs
    )
    part = event_shapes.ContentPartDone(sequence_number=seq + 1, item_id=item.id, part=whole)
    end = event_shapes.OutputItemDone(sequence_number=seq + 2, item=item)
    return [encode(done), encode(part), encode(end)]


def terminal(seq: int, status: str, error: str, response: str) -> str:
    """Return the event that ends a turn: completed, incomplete (also when cancelled) or failed."""
    name = "incomplete" if status == "cancelled" else status
    return response_event(f"response.{name}", seq, response_json(status, error, response))


def kept(
    response_id: str, seq: int, status: str, error: str, response: str, text: str
) -> list[str]:
    """Return the last events of a turn, made from its record and marked as `snapshot`.

    They carry the whole text under their original numbers, `seq` being the last; its log is gone.
    """
    end = terminal(seq, status, error, response)
    item_status: MessageStatus = "completed" if status == "completed" else "incomplete"
    closed: list[str] = []
    if status != "failed":
        closed = closing(response_id, seq - 3, item_status, text, logprobs_of(response))
    return [with_snapshot(event) for event in (*closed, end)]


def refused(seq: int, error: TurnError) -> str:
    """Return the event that ends a turn whose request only the worker could refuse."""
    return encode(
        event_shapes.ErrorEvent(sequence_number=seq, status=error.status, error=error_body(error))
    )
