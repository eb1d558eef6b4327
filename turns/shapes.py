"""The JSON objects that clients receive: responses, their parts, and errors.

Each is declared once, as a struct that builds and encodes it; `python -m scripts.schemas` makes the
published schemas of the same structs, so the docstrings address people who write clients.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

#: A list that is always empty here.
Empty = tuple[()]
Count = Annotated[int, Meta(ge=0)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Logprob = Annotated[float, Meta(ge=-9999, le=0)]
#: Seconds since 1970.
Seconds = Annotated[int, Meta(ge=0)]
#: Ids are published as patterns that decoding does not check: a wrong one has its own error code.
StreamId = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Za-z0-9_.-]{1,256}$"})]
ResponseId = Annotated[str, Meta(extra_json_schema={"pattern": "^resp_[0-9a-f]{32}$"})]
MessageStatus = Literal["in_progress", "completed", "incomplete"]
MessageId = Annotated[str, Meta(extra_json_schema={"pattern": "^msg_[0-9a-f]{32}(_[0-9]+)?$"})]
FunctionCallId = Annotated[str, Meta(extra_json_schema={"pattern": "^fc_[0-9a-f]{34}$"})]


ErrorType = Literal["invalid_request_error", "server_error", "rate_limit_error"]


class Error(Struct, frozen=True, kw_only=True):
    """Why a request was refused; `code` is stable."""

    type: ErrorType
    code: str
    message: str
    param: str | None


class TopLogprob(Struct, frozen=True, kw_only=True):
    """A likely token at some place of an answer."""

    token: str
    #: Natural logarithm of its probability; -9999 stands for less.
    logprob: Logprob
    #: In UTF-8; empty for a control token, such as EOS.
    bytes: tuple[Byte, ...]


class TokenLogprob(TopLogprob, frozen=True, kw_only=True):
    """A token of the answer; the joined `bytes` of all tokens are those of the text."""

    #: The likeliest tokens in its place, the likeliest first.
    top_logprobs: tuple[TopLogprob, ...]


class OutputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """Text of an answer."""

    text: str
    annotations: Empty = ()
    #: Only if they were requested.
    logprobs: tuple[TokenLogprob, ...] = ()


class MessageItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """An answer."""

    id: MessageId
    role: Literal["assistant"] = "assistant"
    status: MessageStatus
    content: tuple[OutputText, ...]


class FunctionCallItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A call of a tool, which the client is to run."""

    id: FunctionCallId
    #: Joins the call to its `function_call_output`.
    call_id: str
    name: str
    #: JSON, as the model wrote it; of a strict tool it validates, if the status is `completed`.
    arguments: str
    status: MessageStatus


OutputItem = MessageItem | FunctionCallItem


class FunctionTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function that the answer may call."""

    name: str
    description: str | None = None
    #: JSON Schema.
    parameters: dict[str, Any] | None = None
    strict: bool = False


class FunctionChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """One of the functions, by its name."""

    name: str


class AllowedToolsChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="allowed_tools"):
    """Some of the functions."""

    mode: Literal["auto", "required"]
    tools: tuple[FunctionChoice, ...]


ToolMode = Literal["auto", "none", "required"]
ShownChoice = ToolMode | FunctionChoice | AllowedToolsChoice


class InputTokensDetails(Struct, frozen=True, kw_only=True):
    """Tokens of the prompt that were computed before."""

    cached_tokens: Count
    cache_write_tokens: Count = 0


class OutputTokensDetails(Struct, frozen=True, kw_only=True):
    """Llama 2 has no separate reasoning: always 0."""

    reasoning_tokens: Count = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Numbers of tokens."""

    input_tokens: Count
    input_tokens_details: InputTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: Count


Cut = Literal["max_output_tokens"]


class IncompleteDetails(Struct, frozen=True, kw_only=True):
    """Why an answer is incomplete."""

    reason: Cut


class ResponseError(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class TextFormat(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Plain text, the only format."""


class TextOptions(Struct, frozen=True, kw_only=True):
    """Format of the answer's text."""

    format: TextFormat = TextFormat()


class Queue(Struct, frozen=True, kw_only=True):
    """Position of a queued turn; an addition to the protocol."""

    position: Annotated[int, Meta(ge=1)]
    size: Annotated[int, Meta(ge=1)]
    eta_seconds: Annotated[float, Meta(ge=0)] | None
    workers: Count


class ResponseFields(Struct, frozen=True, kw_only=True):
    """The fields of a response that stay the same until its turn ends."""

    id: ResponseId
    object: Literal["response"] = "response"
    created_at: Seconds
    completed_at: Seconds | None = None
    background: bool
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    model: str
    output: tuple[OutputItem, ...] = ()
    parallel_tool_calls: bool = True
    previous_response_id: ResponseId | None
    reasoning: None = None
    service_tier: Literal["priority", "default", "flex"]
    store: bool
    temperature: float
    text: TextOptions = TextOptions()
    tool_choice: ShownChoice = "auto"
    tools: tuple[FunctionTool, ...] = ()
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] = 0
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: Usage | None = None
    metadata: dict[str, str]
    presence_penalty: float
    frequency_penalty: float
    safety_identifier: None = None
    prompt_cache_key: None = None


class Response(ResponseFields, frozen=True, kw_only=True):
    """A response at one moment."""

    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    #: Only while it is queued.
    queue: Queue | UnsetType = UNSET


class Problem(Struct, frozen=True, kw_only=True):
    """A problem of a batch's file."""

    code: str | None
    message: str
    param: str | None
    line: int | None
