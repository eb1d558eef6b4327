"""The shapes of a turn's events, as `turns/shapes.py` has those of what they carry."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from turnstream.turns.shapes import (
    Count,
    Empty,
    Error,
    MessageId,
    MessageItem,
    OutputText,
    Queue,
    Response,
    StreamId,
)


class Numbered(TypedDict):
    """What every event of a response has."""

    #: 0 for a turn's first event, then one more each time.
    sequence_number: Count
    #: Only on a socket, for a turn on a named lane.
    stream_id: NotRequired[StreamId]


class Created(Numbered):
    """The turn is queued; the first event."""

    type: Literal["response.created"]
    response: Response


class Queued(Numbered):
    """The turn waits; sent again when its place changes, and from time to time."""

    type: Literal["response.queued"]
    queue: Queue
    response: Response


class InProgress(Numbered):
    """A worker has the turn; sent again while there is no text yet."""

    type: Literal["response.in_progress"]
    response: Response


class OutputItemAdded(Numbered):
    """The answer begins."""

    type: Literal["response.output_item.added"]
    output_index: Literal[0]
    item: MessageItem


class Part(Numbered):
    """Names a part of an answer."""

    item_id: MessageId
    output_index: Literal[0]
    content_index: Literal[0]


class ContentPartAdded(Part):
    """The answer's text begins."""

    type: Literal["response.content_part.added"]
    part: OutputText


class TextDelta(Part):
    """Text to append to the answer."""

    type: Literal["response.output_text.delta"]
    delta: str
    logprobs: Empty


class Last(Numbered):
    """What the events that end an answer have in addition."""

    #: Written again from the record, since the slices are not kept any more.
    snapshot: NotRequired[Literal[True]]


class TextDone(Part, Last):
    """The answer's whole text."""

    type: Literal["response.output_text.done"]
    text: str
    logprobs: Empty


class ContentPartDone(Part, Last):
    """The answer's text has ended."""

    type: Literal["response.content_part.done"]
    part: OutputText


class OutputItemDone(Last):
    """The answer has ended."""

    type: Literal["response.output_item.done"]
    output_index: Literal[0]
    item: MessageItem


class Completed(Last):
    """The turn was answered."""

    type: Literal["response.completed"]
    response: Response


class Incomplete(Last):
    """The turn was cut at `max_output_tokens`, or cancelled, as its status says."""

    type: Literal["response.incomplete"]
    response: Response


class Failed(Last):
    """The turn failed."""

    type: Literal["response.failed"]
    response: Response


class ErrorEvent(TypedDict):
    """The end of a request that was refused, or of a turn that turned out to be bad."""

    type: Literal["error"]
    status: int
    error: Error
    #: `retry-after` in seconds, where asking again may help.
    headers: NotRequired[dict[str, str]]
    #: Only if the request became a turn.
    sequence_number: NotRequired[Count]
    stream_id: NotRequired[StreamId]


Event = (
    Created
    | Queued
    | InProgress
    | OutputItemAdded
    | ContentPartAdded
    | TextDelta
    | TextDone
    | ContentPartDone
    | OutputItemDone
    | Completed
    | Incomplete
    | Failed
    | ErrorEvent
)
