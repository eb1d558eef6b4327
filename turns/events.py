"""The numbered events of a turn, as the JSON that reaches the reader unchanged.

`response.created`, `queued` and `in_progress` are written by the scripts in Redis, which know the
order of turns; every event from the first text on is written here, by the worker.
"""

from collections.abc import Sequence

from turnstream.turns import event_shapes
from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, response_event, response_json, with_snapshot
from turnstream.turns.ids import message_id
from turnstream.turns.response import output_of
from turnstream.turns.shapes import (
    FunctionCallItem,
    MessageItem,
    OutputItem,
    OutputText,
    TokenLogprob,
)


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
    added = event_shapes.OutputItemAdded(sequence_number=seq, output_index=0, item=item)
    return [encode(added), encode(part)]


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


def call_opening(seq: int, index: int, item: FunctionCallItem) -> str:
    """Return the event that begins a call of a tool; its item has no arguments yet."""
    return encode(event_shapes.OutputItemAdded(sequence_number=seq, output_index=index, item=item))


def arguments_delta(seq: int, index: int, item: FunctionCallItem, text: str) -> str:
    """Return further arguments of a call."""
    return encode(
        event_shapes.ArgumentsDelta(
            sequence_number=seq, item_id=item.id, output_index=index, delta=text
        )
    )


def closing(seq: int, index: int, item: OutputItem) -> list[str]:
    """Return the events that close an item: three of a message, two of a call."""
    done: list[event_shapes.Numbered]
    match item:
        case MessageItem():
            [whole] = item.content
            done = [
                event_shapes.TextDone(
                    sequence_number=seq,
                    item_id=item.id,
                    text=whole.text,
                    logprobs=whole.logprobs,
                ),
                event_shapes.ContentPartDone(sequence_number=seq + 1, item_id=item.id, part=whole),
            ]
        case FunctionCallItem():
            done = [
                event_shapes.ArgumentsDone(
                    sequence_number=seq,
                    item_id=item.id,
                    output_index=index,
                    name=item.name,
                    arguments=item.arguments,
                )
            ]
    end = event_shapes.OutputItemDone(
        sequence_number=seq + len(done), output_index=index, item=item
    )
    return [encode(event) for event in (*done, end)]


def terminal(seq: int, status: str, error: str, response: str) -> str:
    """Return the event that ends a turn: completed, incomplete (also when cancelled) or failed."""
    name = "incomplete" if status == "cancelled" else status
    return response_event(f"response.{name}", seq, response_json(status, error, response))


def kept(seq: int, status: str, error: str, response: str) -> list[str]:
    """Return the last events of a turn, made from its record and marked as `snapshot`.

    Its log is gone. They carry all items of the answer, under the last numbers up to `seq`; of an
    answer in one item these are the original ones.
    """
    closed: list[str] = []
    output = output_of(response) if status != "failed" else ()
    for index, item in reversed(list(enumerate(output))):
        events = 3 if isinstance(item, MessageItem) else 2
        closed = closing(seq - len(closed) - events, index, item) + closed
    return [with_snapshot(event) for event in (*closed, terminal(seq, status, error, response))]


def refused(seq: int, error: TurnError) -> str:
    """Return the event that ends a turn whose request only the worker could refuse."""
    return encode(
        event_shapes.ErrorEvent(sequence_number=seq, status=error.status, error=error_body(error))
    )
