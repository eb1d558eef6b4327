"""`POST /v1/chat/completions`: for clients of the older protocol.

A completion is a turn like any other. Its id is the response's with another prefix, so that it can
be read, cancelled and deleted as a response.
"""

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder
from starlette.requests import Request
from starlette.responses import Response as Answer

from turnstream.turns.client import TurnClient
from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.ids import completion_of
from turnstream.turns.shapes import Error, Response
from turnstream.ws_server.access import owner_of
from turnstream.ws_server.bodies import (
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
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import with_key
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.event_stream import EventStream
from turnstream.ws_server.http import last_event, read_body
from turnstream.ws_server.wire import failure, json_response, refused


async def create_completion(request: Request) -> Answer:
    """Answer with the whole completion, or with `stream` chunk by chunk."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    directory: Directory = request.app.state.directory
    chat = read_chat(read_json(await read_body(request)))
    create = with_key(chat.create, request.headers.get("idempotency-key"))
    turn = create.turn(owner, await directory.find(create.model), parent_cached=False)
    if chat.stream:
        return EventStream(
            turn_client, turn_client.submit(turn), ChatWire(include_usage=chat.include_usage)
        )
    end = await last_event(request, turn_client.submit(turn))
    if event_type(end) == b"error":
        return refused(end)
    response = _ENDED.decode(end).response
    if response.status == "failed":
        return failure(_failure(response), 500)
    return json_response(completion(response))


class _Delta(Struct, frozen=True):
    delta: str


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
                return self._chunk(Delta(content=_DELTA.decode(event).delta))
            case b"response.created":
                self._first = _ENDED.decode(event).response
                return self._chunk(Delta(role="assistant", content=""))
            case b"response.queued":
                return f": queued position={_QUEUED.decode(event).queue.position}\n\n".encode()
            case b"error":
                return _data(ErrorBody(error=_REFUSED.decode(event).error))
            case b"response.failed":
                return _data(ErrorBody(error=_failure(_ENDED.decode(event).response)))
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

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        choice = ChunkChoice(delta=delta, finish_reason=finish_reason)
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
    text = "".join(part.text for item in response.output for part in item.content)
    choice = CompletionChoice(
        message=CompletionMessage(content=text), finish_reason=_finish_reason(response)
    )
    return Completion(
        id=completion_of(response.id),
        created=response.created_at,
        model=response.model,
        service_tier=response.service_tier,
        choices=(choice,),
        usage=_usage(response),
    )


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


def _failure(response: Response) -> Error:
    error = response.error
    assert error is not None, "a failed response has an error"
    return Error(type="server_error", code=error.code, message=error.message, param=None)


def _data(body: Chunk | ErrorBody) -> bytes:
    return b"data: " + encode(body).encode() + b"\n\n"
