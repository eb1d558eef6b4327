"""`POST /v1/chat/completions`: for clients that speak the older protocol.

Underneath it is a turn like any other. Its id is the response's with another beginning, so that it
can be looked up, stopped and read again as one.
"""

from msgspec import Struct
from msgspec.json import Decoder
from starlette.requests import Request
from starlette.responses import JSONResponse
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
    CompletionHead,
    CompletionUsage,
    Delta,
    ErrorBody,
    FinishReason,
)
from turnstream.ws_server.chat_request import read_chat
from turnstream.ws_server.create import with_key
from turnstream.ws_server.decode import read_json
from turnstream.ws_server.directory import Directory
from turnstream.ws_server.event_stream import EventStream
from turnstream.ws_server.http import last_event, read_body
from turnstream.ws_server.wire import refused


async def create_completion(request: Request) -> Answer:
    """Answer with the whole completion, or with `stream` a piece at a time."""
    owner = owner_of(request)
    turn_client: TurnClient = request.app.state.turn_client
    directory: Directory = request.app.state.directory
    chat = read_chat(read_json(await read_body(request)))
    create = with_key(chat.create, request.headers.get("idempotency-key"))
    turn = create.turn(owner, await directory.find(create.model), previous_cached=False)
    if chat.stream:
        return EventStream(
            turn_client, turn_client.submit(turn), ChatWire(include_usage=chat.include_usage)
        )
    end = await last_event(request, turn_client.submit(turn))
    if end["type"] == "error":
        return refused(end)
    response: Response = end["response"]
    if response["status"] == "failed":
        return refused({"error": _failure(response)})
    return JSONResponse(completion(response))


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


#: Of each event only the field that a chunk is made of is decoded.
_DELTA = Decoder(_Delta)
_QUEUED = Decoder(_Queued)
_REFUSED = Decoder(_Refused)
_ENDED = Decoder(_WithResponse)


class ChatWire:
    """Writes the events of a turn as chunks of a completion."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: CompletionHead
        self._ended = False

    def event(self, event: bytes) -> bytes:
        """Write what a chat client can use of an event."""
        match event_type(event):
            case b"response.output_text.delta":
                return self._chunk({"content": _DELTA.decode(event).delta})
            case b"response.created":
                self._head = _head(_ENDED.decode(event).response)
                return self._chunk({"role": "assistant", "content": ""})
            case b"response.queued":
                return f": queued position={_QUEUED.decode(event).queue.position}\n\n".encode()
            case b"error":
                return _data({"error": _REFUSED.decode(event).error})
            case b"response.failed":
                return _data({"error": _failure(_ENDED.decode(event).response)})
            case b"response.completed" | b"response.incomplete":
                return self._end(_ENDED.decode(event).response)
            case _:
                return b""

    def error(self, error: TurnError) -> bytes:
        """Write what ended the stream before the turn did."""
        return _data({"error": error_body(error)})

    def end(self) -> bytes:
        """Write what comes after a whole answer; one that failed is not whole."""
        return b"data: [DONE]\n\n" if self._ended else b""

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        choice: ChunkChoice = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        chunk = self._with([choice])
        if self._include_usage:
            # As the official service does: null in all chunks but the last.
            chunk["usage"] = None
        return _data(chunk)

    def _with(self, choices: list[ChunkChoice]) -> Chunk:
        return {
            "id": self._head["id"],
            "object": "chat.completion.chunk",
            "created": self._head["created"],
            "model": self._head["model"],
            "service_tier": self._head["service_tier"],
            "choices": choices,
        }

    def _end(self, response: Response) -> bytes:
        written = self._chunk({}, _finish_reason(response))
        if self._include_usage:
            last = self._with([])
            last["usage"] = _usage(response)
            written += _data(last)
        self._ended = True
        return written


def completion(response: Response) -> Completion:
    """Write an ended response as a completion."""
    text = "".join(part["text"] for item in response["output"] for part in item["content"])
    choice: CompletionChoice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": _finish_reason(response),
    }
    return {
        **_head(response),
        "object": "chat.completion",
        "choices": [choice],
        "usage": _usage(response),
    }


def _head(response: Response) -> CompletionHead:
    return {
        "id": completion_of(response["id"]),
        "created": response["created_at"],
        "model": response["model"],
        "service_tier": response["service_tier"],
    }


def _finish_reason(response: Response) -> FinishReason:
    return "length" if response["status"] == "incomplete" else "stop"


def _usage(response: Response) -> CompletionUsage:
    usage = response["usage"]
    # Without any, it was cancelled before anything was done for it.
    return {
        "prompt_tokens": usage["input_tokens"] if usage else 0,
        "completion_tokens": usage["output_tokens"] if usage else 0,
        "total_tokens": usage["total_tokens"] if usage else 0,
        "prompt_tokens_details": {
            "cached_tokens": usage["input_tokens_details"]["cached_tokens"] if usage else 0
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _failure(response: Response) -> Error:
    error = response["error"]
    assert error is not None, "a failed response says why"
    return {
        "type": "server_error",
        "code": error["code"],
        "message": error["message"],
        "param": None,
    }


def _data(body: Chunk | ErrorBody) -> bytes:
    return b"data: " + encode(body).encode() + b"\n\n"
