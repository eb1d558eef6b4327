"""The shapes of what clients may send; what is read of it is read in `create.py` and its like.

Nothing is checked by these types. The published schemas are made of them, and tests hold
them to the names that the readers look for. Other fields are ignored, and null is absence.
"""

from typing import Annotated, Literal, Required

from typing_extensions import TypedDict

from turnstream.turns.shapes import MessageId, ResponseId, StreamId, Words

Temperature = Annotated[float, Words(minimum=0, maximum=2)] | None
Share = Annotated[float, Words(minimum=0, maximum=1)] | None
Penalty = Annotated[float, Words(minimum=-2, maximum=2)] | None
Factor = Annotated[float, Words(minimum=0.01, maximum=100)] | None
TopK = Annotated[int, Words(minimum=-1, maximum=1_000_000)] | None
Tokens = Annotated[int, Words(minimum=1, maximum=1_000_000)] | None
Seed = Annotated[int, Words(minimum=-(2**53), maximum=2**53)] | None
Note = Annotated[str, Words(maxLength=512)]
Notes = Annotated[dict[str, Note], Words(maxProperties=16, propertyNames={"maxLength": 64})] | None
Key = Annotated[str, Words(minLength=1, maxLength=256)] | None
Tier = Literal["auto", "default", "priority", "fast", "flex"] | None
ToolChoice = Literal["auto", "none"] | None
Role = Literal["user", "assistant", "system", "developer"]


class TextPart(TypedDict):
    """A piece of what was said."""

    type: Required[Literal["input_text", "output_text", "text"]]
    text: Required[str]


class RefusalPart(TypedDict):
    """What a model said instead."""

    type: Required[Literal["refusal"]]
    refusal: Required[str]


class Message(TypedDict, total=False):
    """Who said what."""

    type: Literal["message"]
    role: Required[Role]
    content: Required[str | list[TextPart | RefusalPart]]


class ItemReference(TypedDict, total=False):
    """A stored answer, named instead of repeated."""

    type: Required[Literal["item_reference"]]
    id: Required[MessageId]


class Reasoning(TypedDict, total=False):
    """Another model's thoughts, handed back by habit; passed over."""

    type: Required[Literal["reasoning"]]


class CompactionInput(TypedDict, total=False):
    """A conversation made shorter, as `POST /v1/responses/compact` gave it."""

    type: Required[Literal["compaction"]]
    encrypted_content: Required[str]


Messages = Annotated[list[Message], Words(minItems=1)]
Items = list[Message | ItemReference | CompactionInput | Reasoning]


class PlainFormat(TypedDict, total=False):
    """The only format there is."""

    type: Required[Literal["text"]]


class AskedTextOptions(TypedDict, total=False):
    """How the text of an answer is to be written."""

    format: PlainFormat | None


class PromptCacheOptions(TypedDict, total=False):
    """Another way to ask for a warm-up."""

    prewarm: bool | None


class BackgroundOptions(TypedDict, total=False):
    """How a turn in the background is taken; a window of hours is for people in no hurry."""

    completion_window: Literal["soonest", "2h", "8h"] | None
    continuation_id: str | None


class Sampling(TypedDict, total=False):
    """How an answer is drawn; what is not said is as the model likes it."""

    temperature: Temperature
    top_p: Share
    top_k: TopK
    frequency_penalty: Penalty
    presence_penalty: Penalty
    repetition_penalty: Factor
    seed: Seed


class ResponseFields(Sampling, total=False):
    """A turn to be answered."""

    #: The last message must be a user's, and not blank.
    input: Required[Annotated[str, Words(pattern="\\S")] | Items]
    model: str | None
    instructions: str | None
    previous_response_id: ResponseId | None
    max_output_tokens: Tokens
    truncation: Literal["auto", "disabled"] | None
    store: bool | None
    service_tier: Tier
    metadata: Notes
    idempotency_key: Key
    text: AskedTextOptions | None
    tool_choice: ToolChoice
    #: False is a warm-up: over at once, and there to be gone on from.
    generate: bool | None
    prompt_cache_options: PromptCacheOptions | None


class ResponseBody(ResponseFields, total=False):
    """The body of `POST /v1/responses`."""

    stream: bool | None
    background: bool | None
    background_options: BackgroundOptions | None


class CompactBody(TypedDict, total=False):
    """The body of `POST /v1/responses/compact`; one of `input` and `previous_response_id`."""

    model: Required[str]
    input: str | Items | None
    instructions: str | None
    previous_response_id: ResponseId | None


class StreamOptions(TypedDict, total=False):
    """What a stream has besides."""

    include_usage: bool | None


class CompletionBody(Sampling, total=False):
    """The body of `POST /v1/chat/completions`."""

    messages: Required[Messages]
    model: str | None
    max_completion_tokens: Tokens
    max_tokens: Tokens
    stop: str | Annotated[list[str], Words(maxItems=4)] | None
    n: Literal[1] | None
    logprobs: Literal[False] | None
    response_format: PlainFormat | None
    tool_choice: ToolChoice
    store: bool | None
    service_tier: Tier
    metadata: Notes
    stream: bool | None
    stream_options: StreamOptions | None


class OnLane(TypedDict, total=False):
    """What every frame may say: the lane that it is for."""

    stream_id: StreamId | None


class CreateFrame(OnLane, ResponseFields, total=False):
    """Ask for an answer; its fields may also stand in a `response` object."""

    type: Required[Literal["response.create"]]


class NestedCreateFrame(OnLane, total=False):
    """Ask for an answer, in another form that is about."""

    type: Required[Literal["response.create"]]
    response: Required[ResponseFields]


class CancelFrame(OnLane, total=False):
    """Stop a response; without its id, what runs on the lane."""

    type: Required[Literal["response.cancel"]]
    response_id: ResponseId | None


class SteerFrame(OnLane, total=False):
    """Say something to a response while it is written; answered with `SteerFailed`."""

    type: Required[Literal["response.steer"]]
    previous_response_id: Required[str]
    input: Required[object]


class ResumeFrame(OnLane, total=False):
    """Go on reading a response after the event of a number; an addition to the protocol."""

    type: Required[Literal["turnstream:response.resume"]]
    response_id: Required[ResponseId]
    starting_after: Annotated[int, Words(minimum=-1)] | None


Frame = CreateFrame | NestedCreateFrame | CancelFrame | SteerFrame | ResumeFrame
