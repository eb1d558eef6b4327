"""What clients send: each body and frame declared once, for decoding, validation and schemas.

Unknown fields are ignored, and null counts as absent. A field that is known but cannot be honoured
is not declared here: `fields.py` has it, with the reason that its refusal gives. `decode.py` turns
msgspec's errors into ours.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from turnstream.turns.sampling_params import MAX_TOP_LOGPROBS
from turnstream.turns.shapes import ConversationId, ResponseId, StreamId
from turnstream.ws_server import feed_bodies
from turnstream.ws_server.input_items import ChatMessage, Items
from turnstream.ws_server.request_options import (
    AllowedChatToolsChoice,
    AllowedToolsChoice,
    BackgroundOptions,
    CacheOptions,
    ChatFormat,
    ChatFunctionChoice,
    Effort,
    Function,
    FunctionName,
    FunctionToolChoice,
    Identifier,
    Includable,
    PromptCacheOptions,
    ReasoningOptions,
    ResponseStreamOptions,
    StreamOptions,
    StructuredOutputs,
    TextOptionsInput,
    Tool,
    Verbosity,
)

Temperature = Annotated[float, Meta(ge=0, le=2)] | None
Probability = Annotated[float, Meta(ge=0, le=1)] | None
Penalty = Annotated[float, Meta(ge=-2, le=2)] | None
Factor = Annotated[float, Meta(ge=0.01, le=100)] | None
TopK = Annotated[int, Meta(ge=-1, le=1_000_000)] | None
#: The official SDKs declare integers of 64 bits.
MOST = 2**63 - 1
Tokens = Annotated[int, Meta(ge=1, le=MOST)] | None
#: As clients of llama.cpp send it: -1 is no limit. 0 is refused by `chat.py`.
TokensOrNoLimit = Annotated[int, Meta(ge=-1, le=MOST, extra_json_schema={"not": {"const": 0}})]
MinTokens = Annotated[int, Meta(ge=0, le=MOST)] | None
TopLogprobs = Annotated[int, Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None
#: By the token's id as text.
LogitBias = (
    Annotated[
        dict[
            Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,8})$")],
            Annotated[float, Meta(ge=-100, le=100)],
        ],
        Meta(max_length=300),
    ]
    | None
)
Seed = Annotated[int, Meta(ge=-(2**63), le=MOST)] | None
#: Answers to one chat completion request, at most.
MOST_CHOICES = 8
Metadata = (
    Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
        Meta(max_length=16),
    ]
    | None
)
Key = Annotated[str, Meta(min_length=1, max_length=256)] | None
Tier = Literal["auto", "default", "priority", "fast", "flex"] | None


class Sampling(Struct, frozen=True, kw_only=True):
    """Sampling parameters; absent ones take the model's defaults."""

    temperature: Temperature = None
    top_p: Probability = None
    top_k: TopK = None
    frequency_penalty: Penalty = None
    presence_penalty: Penalty = None
    repetition_penalty: Factor = None
    seed: Seed = None
    #: Added to the logits of tokens: -100 bans a token, 100 lets hardly another be chosen.
    logit_bias: LogitBias = None
    #: The answer does not end before it has this many tokens.
    min_tokens: MinTokens = None
    #: Continue after an EOS, to the largest number of tokens.
    ignore_eos: bool | None = None


class SharedFields(Sampling, frozen=True, kw_only=True):
    """Fields of both protocols; most have no effect on the answer and are returned with it."""

    #: A grammar for the answer, as vLLM has it.
    structured_outputs: StructuredOutputs | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: Identifier = None
    #: The second is how older SDKs spell the first.
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    safety_identifier: Identifier = None
    #: A string; Open WebUI sends an object.
    user: Annotated[str, Meta(max_length=512)] | dict[str, Any] | None = None
    idempotency_key: Key = None


class ConversationParam(Struct, frozen=True):
    """A conversation, named by id."""

    id: ConversationId


class ResponseFields(SharedFields, frozen=True, kw_only=True):
    """A request for a response."""

    #: Required unless `generate` is false; its last user message is text, and not blank.
    input: Annotated[str, Meta(extra_json_schema={"pattern": "\\S"})] | Items | None = None
    model: str | None = None
    instructions: str | None = None
    previous_response_id: ResponseId | None = None
    #: The conversation that it belongs to; not with `previous_response_id`.
    conversation: ConversationId | ConversationParam | None = None
    max_output_tokens: Tokens = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    service_tier: Tier = None
    metadata: Metadata = None
    #: How many likeliest tokens are reported in the place of each; above 0 it includes logprobs.
    top_logprobs: TopLogprobs = None
    text: TextOptionsInput | None = None
    #: What is not in an answer of this service is included by not being there.
    include: list[Includable] | None = None
    reasoning: ReasoningOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: (
        Literal["auto", "none", "required"] | FunctionToolChoice | AllowedToolsChoice | None
    ) = None
    max_tool_calls: Annotated[int, Meta(ge=0, le=MOST)] | None = None
    stream_options: ResponseStreamOptions | None = None
    #: False is a warm-up: it ends at once, and another response can continue it.
    generate: bool | None = None
    prompt_cache_options: PromptCacheOptions | None = None


class ResponseBody(ResponseFields, frozen=True, kw_only=True):
    """The body of `POST /v1/responses`."""

    stream: bool | None = None
    background: bool | None = None
    background_options: BackgroundOptions | None = None


class CompactBody(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/responses/compact`; one of `input` and `previous_response_id`."""

    model: str
    input: str | Items | None = None
    instructions: str | None = None
    previous_response_id: ResponseId | None = None


class CompletionBody(SharedFields, frozen=True, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    model: str | None = None
    max_completion_tokens: TokensOrNoLimit | None = None
    max_tokens: TokensOrNoLimit | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    #: Whether the answer goes on from the last message, an assistant's; by default it does.
    continue_final_message: bool | None = None
    #: True: a new reply, also after an assistant's message.
    add_generation_prompt: bool | None = None
    #: Number of answers.
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    logprobs: bool | None = None
    #: Needs `logprobs`.
    top_logprobs: TopLogprobs = None
    response_format: ChatFormat | None = None
    modalities: list[Literal["text"]] | None = None
    reasoning_effort: Effort = None
    verbosity: Verbosity = None
    tools: list[Tool] | None = None
    tool_choice: (
        Literal["auto", "none", "required"] | ChatFunctionChoice | AllowedChatToolsChoice | None
    ) = None
    functions: list[Function] | None = None
    function_call: Literal["auto", "none"] | FunctionName | None = None
    prompt_cache_options: CacheOptions | None = None
    store: bool | None = None
    service_tier: Tier = None
    metadata: Metadata = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class OutputExpiry(Struct, frozen=True):
    """How long a batch's output is kept."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)] | None = None


class BatchRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: str
    #: A number of minutes, hours or days; seven days at most.
    completion_window: Annotated[str, Meta(extra_json_schema={"pattern": "^[1-9][0-9]{0,5}[mhd]$"})]
    metadata: Metadata = None
    output_expires_after: OutputExpiry | None = None


class FileForm(Struct, frozen=True, kw_only=True):
    """The form of `POST /v1/files`."""

    purpose: Literal["batch"]
    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class BatchLine(Struct, frozen=True, kw_only=True):
    """A line of a batch's file: a request as it would be made to the endpoint itself."""

    #: Identifies the result of the line.
    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    method: Any = None
    url: Any = None
    body: dict[str, Any]


class OnLane(Struct, frozen=True, kw_only=True):
    """The lane of a frame."""

    stream_id: StreamId | None = None


class CreateFrame(
    ResponseFields, frozen=True, kw_only=True, tag_field="type", tag="response.create"
):
    """Request a response; its fields may also be nested in a `response` object."""

    stream_id: StreamId | None = None


class NestedCreateFrame(OnLane, frozen=True, kw_only=True, tag_field="type", tag="response.create"):
    """Request a response, in the nested form."""

    response: ResponseFields


class CancelFrame(OnLane, frozen=True, kw_only=True, tag_field="type", tag="response.cancel"):
    """Cancel a response; without an id, the one that runs on the lane."""

    response_id: ResponseId | None = None


class SteerFrame(OnLane, frozen=True, kw_only=True, tag_field="type", tag="response.steer"):
    """Add input to a running response; answered with `SteerAccepted` or `SteerFailed`."""

    previous_response_id: str
    #: Messages of the user.
    input: str | Items | None = None
    #: By default the input itself: what says the same again is the same steer.
    idempotency_key: Key = None


class ResumeFrame(
    OnLane, frozen=True, kw_only=True, tag_field="type", tag="turnstream:response.resume"
):
    """Follow a response after the event of a number; an addition to the protocol."""

    response_id: ResponseId
    starting_after: Annotated[int, Meta(ge=-1, le=10**15)] | None = None


class RefreshFrame(
    OnLane, frozen=True, kw_only=True, tag_field="type", tag="turnstream:token.refresh"
):
    """Go on with another key or client token of the same owner; answered with `TokenRefreshed`."""

    token: Annotated[str, Meta(min_length=1, max_length=512)]


FRAMES = (
    CreateFrame,
    NestedCreateFrame,
    CancelFrame,
    SteerFrame,
    ResumeFrame,
    RefreshFrame,
    *feed_bodies.FRAMES,
)
