"""What HTTP answers with, besides responses and their events.

As in `turns/shapes.py`, the published schemas are made of these structs.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from turnstream.turns.shapes import (
    Count,
    Empty,
    Error,
    MessageId,
    MessageStatus,
    ResponseId,
    Seconds,
    TokenLogprob,
    Usage,
)
from turnstream.turns.turn import ItemStatus
from turnstream.ws_server.call_bodies import (
    FunctionDelta,
    FunctionOfCall,
    ToolCallDelta,
    ToolCallMade,
)

CompletionId = Annotated[str, Meta(extra_json_schema={"pattern": "^chatcmpl-[0-9a-f]{32}$"})]
FinishReason = Literal["stop", "length", "tool_calls", "function_call"]


class _Listed(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Listed)
Id = TypeVar("Id", bound=str)


class ListPage(Struct, Generic[Item, Id], frozen=True, kw_only=True):
    """A page of a list; if `has_more`, the next page begins after `last_id`."""

    object: Literal["list"] = "list"
    data: tuple[Item, ...]
    first_id: Id | None
    last_id: Id | None
    has_more: bool

    @classmethod
    def of(cls, items: Sequence[Item], *, more: bool) -> Self:
        """Make a page of items."""
        ids: list[Any] = [item.id for item in items] or [None]
        return cls(data=tuple(items), first_id=ids[0], last_id=ids[-1], has_more=more)


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The body of every status of 400 or more."""

    error: Error


class Deleted(Struct, frozen=True, kw_only=True):
    """A response was deleted."""

    id: ResponseId
    object: Literal["response"] = "response"
    deleted: Annotated[bool, Meta(extra_json_schema={"const": True})] = True


class InputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """Text of a user or system message."""

    text: str


class SaidText(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """Text of an answer in the input."""

    text: str
    annotations: Empty = ()


class InputItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message that a response was asked with."""

    id: MessageId
    role: Literal["system", "user", "assistant"]
    status: MessageStatus = "completed"
    content: tuple[InputText | SaidText, ...]


class InputCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A call of a tool in the input."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


class InputCallOutput(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """What a tool returned, in the input."""

    id: str
    call_id: str
    output: str
    status: ItemStatus


class InputItemList(
    ListPage[InputItem | InputCall | InputCallOutput, str], frozen=True, kw_only=True
):
    """A page of the items that a response was asked with."""


class InputTokens(Struct, frozen=True, kw_only=True):
    """Number of tokens of a prompt."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: Count


class CompactionItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="compaction"):
    """A conversation's latest turns as an opaque item, accepted as input."""

    id: Annotated[str, Meta(extra_json_schema={"pattern": "^cmp_[0-9a-f]{32}$"})]
    encrypted_content: str


class Compaction(Struct, frozen=True, kw_only=True):
    """A compacted conversation."""

    id: ResponseId
    object: Literal["response.compaction"] = "response.compaction"
    created_at: Seconds
    output: tuple[CompactionItem, ...]
    usage: Usage


class Model(Struct, frozen=True, kw_only=True):
    """A model that requests may name."""

    id: str
    object: Literal["model"] = "model"
    created: Seconds
    owned_by: str = "turnstream"


class ModelList(Struct, frozen=True, kw_only=True):
    """Every model that requests may name."""

    object: Literal["list"] = "list"
    data: tuple[Model, ...]


class PromptTokensDetails(Struct, frozen=True, kw_only=True):
    """Tokens of the prompt that were computed before."""

    cached_tokens: Count


class CompletionTokensDetails(Struct, frozen=True, kw_only=True):
    """Llama 2 has no separate reasoning: always 0."""

    reasoning_tokens: Count = 0


class CompletionUsage(Struct, frozen=True, kw_only=True):
    """Numbers of tokens."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails = CompletionTokensDetails()


class CompletionMessage(Struct, frozen=True, kw_only=True):
    """An answer."""

    role: Literal["assistant"] = "assistant"
    #: Null if there are only calls.
    content: str | None
    refusal: None = None
    #: Only if there are any.
    tool_calls: tuple[ToolCallMade, ...] | UnsetType = UNSET
    #: In place of `tool_calls`, where the request has the older `functions`.
    function_call: FunctionOfCall | UnsetType = UNSET


class ChoiceLogprobs(Struct, frozen=True, kw_only=True):
    """Log probabilities of the tokens of an answer, or of a chunk."""

    content: tuple[TokenLogprob, ...]
    refusal: None = None


class CompletionChoice(Struct, frozen=True, kw_only=True):
    """One of the answers."""

    #: From 0.
    index: Count
    message: CompletionMessage
    #: Only if they were requested.
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason


class CompletionHead(Struct, frozen=True, kw_only=True):
    """Common fields of a completion and its chunks."""

    id: CompletionId
    created: Seconds
    model: str
    service_tier: Literal["priority", "default", "flex"]


class Completion(CompletionHead, frozen=True, kw_only=True):
    """A whole completion."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: tuple[CompletionChoice, ...]
    #: Of all answers together.
    usage: CompletionUsage
    #: As the request had it.
    metadata: dict[str, str] | UnsetType = UNSET


class Delta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    tool_calls: tuple[ToolCallDelta, ...] | UnsetType = UNSET
    #: In place of `tool_calls`, where the request has the older `functions`.
    function_call: FunctionDelta | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """What a chunk adds to one of the answers."""

    #: From 0.
    index: Count
    delta: Delta
    #: Only if they were requested.
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None


class Chunk(CompletionHead, frozen=True, kw_only=True):
    """A piece of a completion."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: tuple[ChunkChoice, ...]
    #: With `include_usage`: null in all chunks but the last.
    usage: CompletionUsage | UnsetType | None = UNSET


class Health(Struct, frozen=True, kw_only=True):
    """State of this process, or of what it needs."""

    status: str
    #: Why Redis can't be used: a stable word.
    cause: str | UnsetType = UNSET
    #: A sentence for whoever runs the service: what is wrong, or how far a worker's start is.
    detail: str | UnsetType = UNSET
