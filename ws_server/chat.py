"""Chat completions: the older protocol's requests and answers, for `/v1/chat/completions`.

A completion is a turn like any other. Its id is the response's with another prefix, so that it can
be read, cancelled and deleted as a response.
"""

from dataclasses import dataclass

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.ids import completion_of
from turnstream.turns.shapes import Error, MessageItem, Response, TokenLogprob
from turnstream.ws_server import chat_messages, field, items, requests
from turnstream.ws_server.bodies import (
    ChoiceLogprobs,
    Chunk,
    ChunkChoice,
    Completion,
    CompletionChoice,
    CompletionMessage,
    CompletionUsage,
    Delta,
    ErrorBody,
    FinishReason,
    PromptTokensDetails,
)
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
    if asked.top_logprobs and not asked.logprobs:
        raise field.wrong("top_logprobs", "used with 'logprobs' true")
    logprobs = {"top_logprobs": asked.top_logprobs or 0} if asked.logprobs else {}
    limit = asked.max_completion_tokens or asked.max_tokens
    stops = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    if not all(stops):
        raise field.wrong("stop", "at most 4 strings, none of them empty")
    read = chat_messages.read_messages(asked.messages)
    items.check_answerable(read, "messages", goes_on=False)
    create = Create(
        model=asked.model,
        messages=chat_messages.continued(
            read.items,
            continue_final_message=asked.continue_final_message,
            add_generation_prompt=asked.add_generation_prompt,
        ),
        instructions=None,
        previous_response_id=None,
        max_output_tokens=limit,
        sampling=sampling_of(asked, limit=limit) | logprobs,
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


class _Delta(Struct, frozen=True):
    delta: str
    logprobs: tuple[TokenLogprob, ...] = ()


class _Position(Struct, frozen=True):
    position: int


class _Queued(Struct, frozen=True):
    queue: _Position


class _Refused(Struct, frozen=True):
    error: Error


class _WithResponse(Struct, frozen=True):
    response: Response


#: Of each event only the fields that a chunk needs are decoded.
_DELTA = Decoder(_Delta)
_QUEUED = Decoder(_Queued)
_REFUSED = Decoder(_Refused)
_ENDED = Decoder(_WithResponse)


class ChatWire:
    """Write the events of a turn as chunks of a completion."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        #: The response as it was created.
        self._first: Response
        self._ended = False

    def event(self, event: bytes) -> bytes:
        """Return the chunk of an event; empty if it has none."""
        match event_type(event):
            case b"response.output_text.delta":
                read = _DELTA.decode(event)
                return self._chunk(Delta(content=read.delta), logprobs=_logprobs(read.logprobs))
            case b"response.created":
                self._first = _ENDED.decode(event).response
                return self._chunk(Delta(role="assistant", content=""))
            case b"response.queued":
                return f": queued position={_QUEUED.decode(event).queue.position}\n\n".encode()
            case b"error":
                return _data(ErrorBody(error=_REFUSED.decode(event).error))
            case b"response.failed":
                return _data(ErrorBody(error=failure_of(_ENDED.decode(event).response)))
            case b"response.completed" | b"response.incomplete":
                return self._end(_ENDED.decode(event).response)
            case _:
                return b""

    def error(self, error: TurnError) -> bytes:
        """Return the error that ended the stream before the turn ended."""
        return _data(ErrorBody(error=error_body(error)))

    def end(self) -> bytes:
        """Return the end of the stream: empty if the turn failed."""
        return b"data: [DONE]\n\n" if self._ended else b""

    def _chunk(
        self,
        delta: Delta,
        finish_reason: FinishReason | None = None,
        logprobs: ChoiceLogprobs | None = None,
    ) -> bytes:
        choice = ChunkChoice(delta=delta, logprobs=logprobs, finish_reason=finish_reason)
        # As the official service does: null in all chunks but the last.
        return self._with((choice,), None if self._include_usage else UNSET)

    def _with(
        self, choices: tuple[ChunkChoice, ...], usage: CompletionUsage | UnsetType | None
    ) -> bytes:
        first = self._first
        return _data(
            Chunk(
                id=completion_of(first.id),
                created=first.created_at,
                model=first.model,
                service_tier=first.service_tier,
                choices=choices,
                usage=usage,
            )
        )

    def _end(self, response: Response) -> bytes:
        self._ended = True
        written = self._chunk(Delta(), _finish_reason(response))
        return written + self._with((), _usage(response)) if self._include_usage else written


def completion(response: Response) -> Completion:
    """Return an ended response as a completion."""
    messages = [item for item in response.output if isinstance(item, MessageItem)]
    parts = [part for item in messages for part in item.content]
    choice = CompletionChoice(
        message=CompletionMessage(content="".join(part.text for part in parts)),
        logprobs=_logprobs(tuple(each for part in parts for each in part.logprobs)),
        finish_reason=_finish_reason(response),
    )
    return Completion(
        id=completion_of(response.id),
        created=response.created_at,
        model=response.model,
        service_tier=response.service_tier,
        choices=(choice,),
        usage=_usage(response),
    )


def _logprobs(tokens: tuple[TokenLogprob, ...]) -> ChoiceLogprobs | None:
    return ChoiceLogprobs(content=tokens) if tokens else None


def _finish_reason(response: Response) -> FinishReason:
    return "length" if response.status == "incomplete" else "stop"


def _usage(response: Response) -> CompletionUsage:
    usage = response.usage
    # A turn that was cancelled before it ran has none.
    return CompletionUsage(
        prompt_tokens=usage.input_tokens if usage else 0,
        completion_tokens=usage.output_tokens if usage else 0,
        total_tokens=usage.total_tokens if usage else 0,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=usage.input_tokens_details.cached_tokens if usage else 0
        ),
    )


def failure_of(response: Response) -> Error:
    """Return the error of a failed response."""
    error = response.error
    assert error is not None, "a failed response has an error"
    return Error(type="server_error", code=error.code, message=error.message, param=None)


def _data(body: Chunk | ErrorBody) -> bytes:
    return b"data: " + encode(body).encode() + b"\n\n"
