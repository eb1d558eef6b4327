"""The shapes of what clients receive: responses, their parts, and errors.

At run time these are plain dictionaries. mypy checks the code that builds them, and
`python -m scripts.schemas` makes the published schemas of the same types; so the docstrings here
are for authors of clients.
"""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict


class Words:
    """Keywords of JSON Schema that a Python type can't express."""

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
    """How many tokens of the prompt were not computed again."""

    cached_tokens: Count
    cache_write_tokens: Count


class OutputTokensDetails(TypedDict):
    """Always 0: Llama 2 has no separate reasoning."""

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
    """Why an answer was cut off."""

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
    """The position of a waiting turn; an addition to the protocol."""

    position: Annotated[int, Words(minimum=1)]
    size: Annotated[int, Words(minimum=1)]
    eta_seconds: Annotated[float, Words(minimum=0)] | None
    workers: Count


class ResponseFields(TypedDict):
    """The fields of a response that do not change while its turn waits and runs."""

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


class Response(ResponseFields):
    """A response, as it is at some moment."""

    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    #: While it waits.
    queue: NotRequired[Queue]


class Problem(TypedDict):
    """What was wrong with a batch's file."""

    code: str | None
    message: str
    param: str | None
    line: int | None
