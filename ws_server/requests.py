"""What clients send: each body and frame declared once, for decoding, validation and schemas.

Unknown fields are ignored, and null counts as absent. A field that is known but cannot be honoured
is refused in `decode.py`, which also turns msgspec's errors into ours.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from turnstream.turns.sampling_params import MAX_TOP_LOGPROBS
from turnstream.turns.shapes import ResponseId, StreamId
from turnstream.ws_server.input_items import ChatMessage, Items

Temperature = Annotated[float, Meta(ge=0, le=2)] | None
Probability = Annotated[float, Meta(ge=0, le=1)] | None
Penalty = Annotated[float, Meta(ge=-2, le=2)] | None
Factor = Annotated[float, Meta(ge=0.01, le=100)] | None
TopK = Annotated[int, Meta(ge=-1, le=1_000_000)] | None
Tokens = Annotated[int, Meta(ge=1, le=1_000_000)] | None
MinTokens = Annotated[int, Meta(ge=0, le=1_000_000)] | None
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
#: Seeds stay in the range that JavaScript represents exactly.
Seed = Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
Metadata = (
    Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
        Meta(max_length=16),
    ]
    | None
)
Key = Annotated[str, Meta(min_length=1, max_length=256)] | None
Tier = Literal["auto", "default", "priority", "fast", "flex"] | None
ToolChoice = Literal["auto", "none"] | None


class PlainFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """Plain text, the only format."""


class TextOptionsInput(Struct, frozen=True):
    """Format of the answer's text."""

    format: PlainFormat | None = None


class PromptCacheOptions(Struct, frozen=True):
    """`prewarm` requests a warm-up, like `generate: false`."""

    prewarm: bool | None = None


class BackgroundOptions(Struct, frozen=True):
    """How a background turn is scheduled; a window of hours puts it into the batch tier."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    #: Accepted without effect.
    continuation_id: str | None = None


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


class ResponseFields(Sampling, frozen=True, kw_only=True):
    """A request for a response."""

    #: Required unless `generate` is false; its last user message is text, and not blank.
    input: Annotated[str, Meta(extra_json_schema={"pattern": "\\S"})] | Items | None = None
    model: str | None = None
    instructions: str | None = None
    previous_response_id: ResponseId | None = None
    max_output_tokens: Tokens = None
    truncation: Literal["auto", "disabled"] | None = None
    store: bool | None = None
    service_tier: Tier = None
    metadata: Metadata = None
    idempotency_key: Key = None
    #: `message.output_text.logprobs`: the log probability of each token of the answer.
    include: list[str] | None = None
    #: How many likeliest tokens are reported in the place of each; above 0 it includes logprobs.
    top_logprobs: TopLogprobs = None
    text: TextOptionsInput | None = None
    tool_choice: ToolChoice = None
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


class StreamOptions(Struct, frozen=True):
    """Options of a chat completion's stream."""

    include_usage: bool | None = None


class CompletionBody(Sampling, frozen=True, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    model: str | None = None
    max_completion_tokens: Tokens = None
    max_tokens: Tokens = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    #: Whether the answer goes on from the last message, an assistant's; by default it does.
    continue_final_message: bool | None = None
    #: True: a new reply, also after an assistant's message.
    add_generation_prompt: bool | None = None
    n: Literal[1] | None = None
    logprobs: bool | None = None
    #: Needs `logprobs`.
    top_logprobs: TopLogprobs = None
    response_format: PlainFormat | None = None
    tool_choice: ToolChoice = None
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
    """Add input to a running response; answered with `SteerFailed`."""

    previous_response_id: str
    input: Any = None


class ResumeFrame(
    OnLane, frozen=True, kw_only=True, tag_field="type", tag="turnstream:response.resume"
):
    """Follow a response after the event of a number; an addition to the protocol."""

    response_id: ResponseId
    starting_after: Annotated[int, Meta(ge=-1, le=10**15)] | None = None


FRAMES = (CreateFrame, NestedCreateFrame, CancelFrame, SteerFrame, ResumeFrame)
