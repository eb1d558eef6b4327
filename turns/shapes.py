"""The shapes of what readers are sent: every event, the response that it carries, and errors.

At run time these are plain dictionaries. mypy holds those who build them to the types, and the
published schemas are made of the same types by `python -m scripts.schemas`; so the docstrings here
are for people who write clients.
"""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict


class Words:
    """Says more of a type than Python can, in JSON Schema's words."""

    def __init__(self, **words: object) -> None:
        self._words = words

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, object]:
        written: dict[str, object] = handler(core)
        return written | self._words


Empty = Annotated[list[Any], Words(maxItems=0)]
Count = Annotated[int, Words(minimum=0)]
#: Seconds since 1970.
Seconds = Annotated[int, Words(minimum=0)]
StreamId = Annotated[str, Words(pattern="^[A-Za-z0-9_.-]{1,256}$")]
ResponseId = Annotated[str, Words(pattern="^resp_[0-9a-f]{32}$")]
MessageStatus = Literal["in_progress", "completed", "incomplete"]
MessageId = Annotated[str, Words(pattern="^msg_[0-9a-f]{32}(_[0-9]+)?$")]


ErrorType = Literal["invalid_request_error", "server_error", "rate_limit_error"]


class Error(TypedDict):
    """What was wrong; `code` is stable."""

    type: ErrorType
    code: str
    message: str
    param: str | None


class OutputText(TypedDict):
    """Text of an answer."""

    type: Literal["output_text"]
    text: str
    annotations: Empty
    logprobs: Empty


class MessageItem(TypedDict):
    """An answer."""

    id: MessageId
    type: Literal["message"]
    role: Literal["assistant"]
    status: MessageStatus
    content: list[OutputText]


class InputTokensDetails(TypedDict):
    """How many tokens of the prompt were computed before."""

    cached_tokens: Count
    cache_write_tokens: Count


class OutputTokensDetails(TypedDict):
    """Llama 2 does not reason apart from answering: always 0."""

    reasoning_tokens: Count


class Usage(TypedDict):
    """Numbers of tokens."""

    input_tokens: Count
    input_tokens_details: InputTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails
    total_tokens: Count


Cut = Literal["max_output_tokens"]


class IncompleteDetails(TypedDict):
    """Why an answer was cut."""

    reason: Cut


class ResponseError(TypedDict):
    """Why a response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class TextFormat(TypedDict):
    """Answers are plain text."""

    type: Literal["text"]


class TextOptions(TypedDict):
    """How the text of an answer is written."""

    format: TextFormat


class Queue(TypedDict):
    """Where a waiting turn stands; an addition to the protocol."""

    position: Annotated[int, Words(minimum=1)]
    size: Annotated[int, Words(minimum=1)]
    eta_seconds: Annotated[float, Words(minimum=0)] | None
    workers: Count


class ResponseRest(TypedDict):
    """What of a response does not change while its turn waits and runs."""

    id: ResponseId
    object: Literal["response"]
    created_at: Seconds
    completed_at: Seconds | None
    background: bool
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None
    model: str
    output: list[MessageItem]
    parallel_tool_calls: bool
    previous_response_id: ResponseId | None
    reasoning: None
    service_tier: Literal["priority", "default", "flex"]
    store: bool
    temperature: float
    text: TextOptions
    tool_choice: Literal["auto"]
    tools: Empty
    top_logprobs: Literal[0]
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: Usage | None
    metadata: dict[str, str]
    presence_penalty: float
    frequency_penalty: float
    safety_identifier: None
    prompt_cache_key: None


class Response(ResponseRest):
    """A response, as it is at some moment."""

    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    #: While it waits.
    queue: NotRequired[Queue]


class Numbered(TypedDict):
    """What every event of a response has."""

    #: 0 for a turn's first event, then one more each time.
    sequence_number: Count
    #: On a socket, of a turn on a named lane.
    stream_id: NotRequired[StreamId]


class Created(Numbered):
    """The turn is in line; the first event."""

    type: Literal["response.created"]
    response: Response


class Queued(Numbered):
    """The turn waits; comes again as its place changes, and from time to time."""

    type: Literal["response.queued"]
    queue: Queue
    response: Response


class InProgress(Numbered):
    """A worker has the turn; comes again while there is nothing to show."""

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
    """What the events that end an answer have besides."""

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
    """The turn was given up."""

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


class Steered(TypedDict):
    """What could not be said to a response while it was written."""

    previous_response_id: str
    #: As it came.
    input: Any


class SteerError(TypedDict):
    """Why it could not."""

    type: Literal["invalid_request_error"]
    code: Literal["steering_not_supported"]
    message: str


class SteerFailed(TypedDict):
    """A response can't be steered here."""

    type: Literal["response.steer.failed"]
    sequence_number: Literal[0]
    steer: Steered
    error: SteerError
    stream_id: NotRequired[StreamId]


class Draining(TypedDict):
    """This node goes: come back after that time and go on with resume."""

    type: Literal["turnstream:server.draining"]
    retry_after_ms: Count


class Problem(TypedDict):
    """What was wrong with a batch's file."""

    code: str | None
    message: str
    param: str | None
    line: int | None


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
