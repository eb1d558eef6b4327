"""The events of a turn; what they carry is in `turns/shapes.py`.

The type is the first key of an event's JSON: readers and scripts in Redis rely on that.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from turnstream.turns.shapes import (
    Count,
    Error,
    FunctionCallId,
    MessageId,
    OutputItem,
    OutputText,
    Queue,
    Response,
    Steering,
    StreamId,
    TokenLogprob,
)


class Numbered(Struct, frozen=True, kw_only=True):
    """Common fields of the events of a turn."""

    #: 0 for a turn's first event, then one more each time.
    sequence_number: Count
    #: On a socket, for a turn on a named lane.
    stream_id: StreamId | UnsetType = UNSET


class Created(Numbered, frozen=True, kw_only=True, tag_field="type", tag="response.created"):
    """The turn was submitted; the first event."""

    response: Response


class Queued(Numbered, frozen=True, kw_only=True, tag_field="type", tag="response.queued"):
    """The turn is queued; sent again when its position changes, and at intervals."""

    queue: Queue
    response: Response


class InProgress(Numbered, frozen=True, kw_only=True, tag_field="type", tag="response.in_progress"):
    """A worker runs the turn; sent again at intervals until there is text."""

    response: Response


class OutputItemAdded(
    Numbered, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.added"
):
    """An item of the answer begins: its text, or a call of a tool."""

    output_index: Count
    item: OutputItem


class Part(Numbered, frozen=True, kw_only=True):
    """Common fields of the events of a part of an answer."""

    item_id: MessageId
    output_index: Literal[0] = 0
    content_index: Literal[0] = 0


class ContentPartAdded(
    Part, frozen=True, kw_only=True, tag_field="type", tag="response.content_part.added"
):
    """The answer's text begins."""

    part: OutputText


class TextDelta(
    Part, frozen=True, kw_only=True, tag_field="type", tag="response.output_text.delta"
):
    """Text to append to the answer."""

    delta: str
    logprobs: tuple[TokenLogprob, ...] = ()


#: Present in an event that was made from the record because its turn's log has expired.
Snapshot = Annotated[bool, Meta(extra_json_schema={"const": True})] | UnsetType


class PartDone(Part, frozen=True, kw_only=True):
    """Common fields of the events that end a part."""

    snapshot: Snapshot = UNSET


class Last(Numbered, frozen=True, kw_only=True):
    """Common fields of the other events that end an answer."""

    snapshot: Snapshot = UNSET


class TextDone(
    PartDone, frozen=True, kw_only=True, tag_field="type", tag="response.output_text.done"
):
    """The answer's whole text."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ContentPartDone(
    PartDone, frozen=True, kw_only=True, tag_field="type", tag="response.content_part.done"
):
    """The answer's text has ended."""

    part: OutputText


class OutputItemDone(
    Last, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.done"
):
    """An item of the answer has ended."""

    output_index: Count
    item: OutputItem


class CallArguments(Numbered, frozen=True, kw_only=True):
    """Common fields of the events of a call of a tool."""

    item_id: FunctionCallId
    output_index: Count


class ArgumentsDelta(
    CallArguments,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="response.function_call_arguments.delta",
):
    """Text to append to the arguments of a call."""

    delta: str


class ArgumentsDone(
    CallArguments,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="response.function_call_arguments.done",
):
    """The whole arguments of a call."""

    name: str
    arguments: str
    snapshot: Snapshot = UNSET


class Completed(Last, frozen=True, kw_only=True, tag_field="type", tag="response.completed"):
    """The turn was answered."""

    response: Response


class Incomplete(Last, frozen=True, kw_only=True, tag_field="type", tag="response.incomplete"):
    """The turn was cut at `max_output_tokens`, steered or cancelled, as its status says."""

    response: Response


class Failed(Last, frozen=True, kw_only=True, tag_field="type", tag="response.failed"):
    """The turn failed."""

    response: Response


class ErrorEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The end of a request that was refused, by the front end or by the worker."""

    status: int
    error: Error
    #: `retry-after` in seconds, if a retry may help.
    headers: dict[str, str] | UnsetType = UNSET
    #: 0: it is not an event of a response, whose event 0 is always `response.created`.
    sequence_number: Count = 0
    stream_id: StreamId | UnsetType = UNSET
    #: At the end of a turn that was steered and whose request only the worker could refuse.
    steering: Steering | UnsetType = UNSET


EVENTS = (
    Created,
    Queued,
    InProgress,
    OutputItemAdded,
    ContentPartAdded,
    TextDelta,
    TextDone,
    ContentPartDone,
    ArgumentsDelta,
    ArgumentsDone,
    OutputItemDone,
    Completed,
    Incomplete,
    Failed,
    ErrorEvent,
)
