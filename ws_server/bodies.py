"""The shapes of what HTTP answers with, besides responses and their events.

As in `turns/shapes.py`: plain dictionaries, and the published schemas are made of these types.
"""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypeAliasType, TypedDict

from turnstream.turns.shapes import (
    Count,
    Empty,
    Error,
    MessageId,
    ResponseId,
    Seconds,
    Usage,
    Words,
)
from turnstream.ws_server.list_page import ListPage

CompletionId = Annotated[str, Words(pattern="^chatcmpl-[0-9a-f]{32}$")]
FinishReason = Literal["stop", "length"]


class ErrorBody(TypedDict):
    """What is answered instead, with a status of 400 or more."""

    error: Error


class Deleted(TypedDict):
    """A response is forgotten."""

    id: ResponseId
    object: Literal["response"]
    deleted: Literal[True]


class InputText(TypedDict):
    """Text of a question."""

    type: Literal["input_text"]
    text: str


class SaidText(TypedDict):
    """Text of an answer that was part of the input."""

    type: Literal["output_text"]
    text: str
    annotations: Empty


class InputItem(TypedDict):
    """A message that a response was asked with."""

    id: MessageId
    type: Literal["message"]
    role: Literal["system", "user", "assistant"]
    status: Literal["completed"]
    content: list[InputText | SaidText]


InputItemList = TypeAliasType("InputItemList", ListPage[InputItem, MessageId])


class InputTokens(TypedDict):
    """How long a prompt would be."""

    object: Literal["response.input_tokens"]
    input_tokens: Count


class CompactionItem(TypedDict):
    """A conversation's latest turns; taken as input, and as opaque."""

    id: Annotated[str, Words(pattern="^cmp_[0-9a-f]{32}$")]
    type: Literal["compaction"]
    encrypted_content: str


class Compaction(TypedDict):
    """A conversation made shorter."""

    id: ResponseId
    object: Literal["response.compaction"]
    created_at: Seconds
    output: list[CompactionItem]
    usage: Usage


class Model(TypedDict):
    """A model that can be asked for."""

    id: str
    object: Literal["model"]
    created: Seconds
    owned_by: str


class ModelList(TypedDict):
    """Every model that can be asked for."""

    object: Literal["list"]
    data: list[Model]


class PromptTokensDetails(TypedDict):
    """How many tokens of the prompt were computed before."""

    cached_tokens: Count


class CompletionTokensDetails(TypedDict):
    """Llama 2 does not reason apart from answering: always 0."""

    reasoning_tokens: Count


class CompletionUsage(TypedDict):
    """Numbers of tokens."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class CompletionMessage(TypedDict):
    """An answer."""

    role: Literal["assistant"]
    content: str
    refusal: None


class CompletionChoice(TypedDict):
    """The one answer there is."""

    index: Literal[0]
    message: CompletionMessage
    logprobs: None
    finish_reason: FinishReason


class CompletionHead(TypedDict):
    """What a completion and its chunks begin with."""

    id: CompletionId
    created: Seconds
    model: str
    service_tier: Literal["priority", "default", "flex"]


class Completion(CompletionHead):
    """A whole completion."""

    object: Literal["chat.completion"]
    choices: list[CompletionChoice]
    usage: CompletionUsage


class Delta(TypedDict):
    """What a chunk adds."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str]


class ChunkChoice(TypedDict):
    """What a chunk adds to the one answer there is."""

    index: Literal[0]
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class Chunk(CompletionHead):
    """A piece of a completion."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    #: With `include_usage`: null in all chunks but the last.
    usage: NotRequired[CompletionUsage | None]


class Health(TypedDict):
    """How this process, or what it needs, is."""

    status: str
