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
ConversationId = Annotated[str, Meta(extra_json_schema={"pattern": "^conv_[0-9a-f]{32}$"})]
SteerId = Annotated[str, Meta(extra_json_schema={"pattern": "^steer_[0-9a-f]{32}$"})]
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


Cut = Literal["max_output_tokens", "steered"]


class IncompleteDetails(Struct, frozen=True, kw_only=True):
    """Why an answer is incomplete."""

    reason: Cut


class ResponseError(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class PlainText(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Plain text."""


class JsonObjectText(Struct, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    """A JSON object."""


class JsonSchemaText(Struct, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    """JSON of a schema, as it was requested."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


TextFormat = PlainText | JsonObjectText | JsonSchemaText


class TextOptions(Struct, frozen=True, kw_only=True):
    """Format of the answer's text, and the verbosity that was requested."""

    format: TextFormat = PlainText()
    verbosity: Literal["low", "medium", "high"] | UnsetType = UNSET


class ReasoningHints(Struct, frozen=True, kw_only=True):
    """What was requested of a model that reasons; this one doesn't."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | UnsetType = UNSET
    context: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET


class CacheHints(Struct, frozen=True, kw_only=True):
    """What was requested of the cache of prompts; it decides by itself."""

    mode: Literal["implicit", "explicit"] = "implicit"
    ttl: Literal["30m", "12h"] = "30m"
    comparison_response_id: str | UnsetType = UNSET


class BackgroundHints(Struct, frozen=True, kw_only=True):
    """How a background turn was requested to be scheduled."""

    completion_window: Literal["soonest", "2h", "8h"] = "soonest"
    continuation_id: str | UnsetType = UNSET


class FunctionChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """The one tool that must be called."""

    name: str


class AllowedTools(Struct, frozen=True, kw_only=True, tag_field="type", tag="allowed_tools"):
    """Some of the tools."""

    mode: Literal["auto", "required"] = "auto"
    tools: tuple[dict[str, Any], ...]


class Queue(Struct, frozen=True, kw_only=True):
    """Position of a queued turn; an addition to the protocol."""

    position: Annotated[int, Meta(ge=1)]
    size: Annotated[int, Meta(ge=1)]
    eta_seconds: Annotated[float, Meta(ge=0)] | None
    workers: Count


class Hints(Struct, frozen=True, kw_only=True):
    """What a request says without effect on the answer, returned with the response.

    The defaults are those of a request that says nothing of it.
    """

    max_tool_calls: Count | None = None
    parallel_tool_calls: bool = True
    reasoning: ReasoningHints | None = None
    text: TextOptions = TextOptions()
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice | AllowedTools = "auto"
    #: As the request described them, in the form of the Responses protocol.
    tools: tuple[dict[str, Any], ...] = ()
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    #: As the request had it: a string, but some clients send an object.
    user: str | dict[str, Any] | UnsetType = UNSET
    prompt_cache_retention: Literal["in_memory", "24h"] | UnsetType = UNSET
    prompt_cache_options: CacheHints | UnsetType = UNSET
    background_options: BackgroundHints | UnsetType = UNSET


class ConversationRef(Struct, frozen=True, kw_only=True):
    """The conversation that a response was created in."""

    id: ConversationId


class ResponseFields(Hints, frozen=True, kw_only=True):
    """The fields of a response that stay the same until its turn ends."""

    id: ResponseId
    object: Literal["response"] = "response"
    created_at: Seconds
    completed_at: Seconds | None = None
    background: bool
    #: Only if it was created in one.
    conversation: ConversationRef | UnsetType = UNSET
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    model: str
    output: tuple[OutputItem, ...] = ()
    previous_response_id: ResponseId | None
    service_tier: Literal["priority", "default", "flex"]
    store: bool
    temperature: float
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] = 0
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: Usage | None = None
    metadata: dict[str, str]
    presence_penalty: float
    frequency_penalty: float


class Steering(Struct, frozen=True, kw_only=True):
    """What became of the input of `response.steer`; an addition to the protocol.

    `continued`: the response `response_id` goes on with it. `pending`: it goes in front of the
    input that the outputs of the called tools are sent with. `failed`: it was not used.
    """

    outcome: Literal["continued", "pending", "failed"]
    response_id: ResponseId | UnsetType = UNSET


class Response(ResponseFields, frozen=True, kw_only=True):
    """A response at one moment."""

    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    #: Only while it is queued.
    queue: Queue | UnsetType = UNSET
    #: Only if it was steered, and has ended.
    steering: Steering | UnsetType = UNSET


class Problem(Struct, frozen=True, kw_only=True):
    """A problem of a batch's file."""

    code: str | None
    message: str
    param: str | None
    line: int | None
