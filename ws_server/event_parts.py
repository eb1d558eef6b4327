"""What the older protocols need of a turn's events: only these fields are decoded."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.json import Decoder

from turnstream.turns.shapes import Error, Response, TokenLogprob
from turnstream.ws_server.bodies import CompletionUsage, PromptTokensDetails


class Delta(Struct, frozen=True):
    """New text."""

    delta: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Position(Struct, frozen=True):
    """A place in the queue."""

    position: int


class Queued(Struct, frozen=True):
    """That a turn waits."""

    queue: Position


class Refused(Struct, frozen=True):
    """Why a turn was refused."""

    status: int
    error: Error


class WithResponse(Struct, frozen=True):
    """The response at its beginning or end."""

    response: Response


DELTA = Decoder(Delta)
QUEUED = Decoder(Queued)
REFUSED = Decoder(Refused)
ENDED = Decoder(WithResponse)


def usage_of(responses: Sequence[Response]) -> CompletionUsage:
    """Return the usage of all turns of a request together."""
    # A turn that was cancelled before it ran has none.
    used = [response.usage for response in responses if response.usage is not None]
    cached = sum(usage.input_tokens_details.cached_tokens for usage in used)
    return CompletionUsage(
        prompt_tokens=sum(usage.input_tokens for usage in used),
        completion_tokens=sum(usage.output_tokens for usage in used),
        total_tokens=sum(usage.total_tokens for usage in used),
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached),
    )
