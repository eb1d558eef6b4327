"""What `/v1/completions` takes and what it answers with."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from turnstream.turns.shapes import Seconds
from turnstream.ws_server.bodies import CompletionUsage, FinishReason
from turnstream.ws_server.request_options import StreamOptions
from turnstream.ws_server.requests import Metadata, Sampling, Tier, TokensOrNoLimit

#: Prompts of one request, each of which is a turn.
MOST_PROMPTS = 128
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TextCompletionId = Annotated[str, Meta(extra_json_schema={"pattern": "^cmpl-[0-9a-f]{32}$"})]


class TextCompletionBody(Sampling, frozen=True, kw_only=True):
    """The body of `POST /v1/completions`."""

    #: Text, token ids, or a list of either; none is an empty text.
    prompt: str | list[str | TokenId | list[TokenId]] | None = None
    model: str | None = None
    #: 16 by default; -1 is as many as the context leaves.
    max_tokens: TokensOrNoLimit | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    #: Whether the text begins with the prompt; not for token ids.
    echo: bool | None = None
    n: Literal[1] | None = None
    best_of: Literal[1] | None = None
    service_tier: Tier = None
    metadata: Metadata = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class TextChoice(Struct, frozen=True, kw_only=True):
    """The text that continues one prompt, or a piece of it."""

    index: Annotated[int, Meta(ge=0)]
    text: str
    logprobs: None = None
    finish_reason: FinishReason | None


class TextCompletion(Struct, frozen=True, kw_only=True):
    """A whole text completion, or a piece of one in a stream."""

    id: TextCompletionId
    object: Literal["text_completion"] = "text_completion"
    created: Seconds
    model: str
    choices: tuple[TextChoice, ...]
    #: In a stream with `include_usage`: null in all pieces but the last; else only of the whole.
    usage: CompletionUsage | UnsetType | None = UNSET
