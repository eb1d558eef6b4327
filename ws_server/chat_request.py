"""Check the body of `POST /v1/chat/completions`; it makes the same turn as `/v1/responses`."""

from dataclasses import dataclass

from turnstream.ws_server import field, items, requests
from turnstream.ws_server.create import TIERS, Create, sampling_of
from turnstream.ws_server.decode import decode
from turnstream.ws_server.field import Body


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request for a completion."""

    create: Create
    stream: bool
    #: Whether a stream ends with token usage.
    include_usage: bool


def read_chat(body: Body) -> ChatRequest:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    asked = decode(body, requests.CompletionBody)
    if asked.logprobs:
        raise field.unsupported("logprobs", "they are not kept.")
    stops = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    if not all(stops):
        raise field.wrong("stop", "at most 4 strings, none of them empty")
    read = items.read_input(asked.messages, "messages")
    items.check_question(read.messages, "messages", goes_on=False)
    create = Create(
        model=asked.model,
        messages=read.messages,
        references=read.references,
        instructions=None,
        previous_response_id=None,
        max_output_tokens=asked.max_completion_tokens or asked.max_tokens,
        sampling=sampling_of(asked),
        truncate=False,
        stop=stops,
        store=asked.store is True,
        background=False,
        tier=TIERS[asked.service_tier or "auto"],
        metadata=asked.metadata or {},
        idempotency_key=None,
    )
    return ChatRequest(
        create,
        stream=asked.stream is True,
        include_usage=asked.stream_options is not None
        and asked.stream_options.include_usage is True,
    )
