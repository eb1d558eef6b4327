"""Chat completions: the older protocol's answers, for `/v1/chat/completions`.

A completion is a turn like any other. Its id is the response's with another prefix, so that it can
be read, cancelled and deleted as a response.
"""

import re

from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from starlette.responses import Response as HttpResponse

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.ids import completion_of
from turnstream.turns.shapes import Error, MessageItem, Response, TokenLogprob
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
)
from turnstream.ws_server.call_bodies import ToolCallDelta
from turnstream.ws_server.chat_calls import CallChunks, calls_of
from turnstream.ws_server.choices import index_of
from turnstream.ws_server.event_parts import DELTA, ENDED, QUEUED, REFUSED, usage_of
from turnstream.ws_server.wire import failure


class ChatWire:
    """Write the events of a turn as chunks of a completion.

    Args:
        functions: calls are written as `function_call`, the form of before `tool_calls`.
    """

    def __init__(self, *, include_usage: bool, choices: int = 1, functions: bool = False) -> None:
        self._include_usage = include_usage
        self._functions = functions
        #: The first response as it was created.
        self._first: Response | None = None
        self._running = choices
        self._ended: list[Response] = []
        self._calls = CallChunks()

    def event(self, event: bytes) -> bytes:
        """Return the chunk of an event; empty if it has none."""
        index = index_of(event)
        match event_type(event):
            case b"response.output_text.delta":
                read = DELTA.decode(event)
                return self._chunk(
                    index, Delta(content=read.delta), logprobs=_logprobs(read.logprobs)
                )
            case b"response.output_item.added":
                call = self._calls.added(index, event)
                return self._chunk(index, self._delta(call)) if call else b""
            case b"response.function_call_arguments.delta":
                return self._chunk(index, self._delta(self._calls.arguments(index, event)))
            case b"response.created":
                self._first = self._first or ENDED.decode(event).response
                return self._chunk(index, Delta(role="assistant", content=""))
            case b"response.queued":
                return f": queued position={QUEUED.decode(event).queue.position}\n\n".encode()
            case b"error":
                return _data(ErrorBody(error=in_chat_words(REFUSED.decode(event).error)))
            case b"response.failed":
                return _data(ErrorBody(error=failure_of(ENDED.decode(event).response)))
            case b"response.completed" | b"response.incomplete":
                return self._end(index, ENDED.decode(event).response)
            case _:
                return b""

    def refusal(self, event: bytes) -> HttpResponse | None:
        """Return the answer in place of a stream, if this event ends the turn before it began."""
        match event_type(event):
            case b"error":
                return refusal_of(event)
            case b"response.failed":
                return failure(failure_of(ENDED.decode(event).response), 500)
            case _:
                return None

    def error(self, error: TurnError) -> bytes:
        """Return the error that ended the stream before the turn ended."""
        return _data(ErrorBody(error=in_chat_words(error_body(error))))

    def end(self) -> bytes:
        """Return the end of the stream: empty if a turn failed."""
        return b"" if self._running else b"data: [DONE]\n\n"

    def _delta(self, call: ToolCallDelta) -> Delta:
        return Delta(function_call=call.function) if self._functions else Delta(tool_calls=(call,))

    def _chunk(
        self,
        index: int,
        delta: Delta,
        finish_reason: FinishReason | None = None,
        logprobs: ChoiceLogprobs | None = None,
    ) -> bytes:
        choice = ChunkChoice(
            index=index, delta=delta, logprobs=logprobs, finish_reason=finish_reason
        )
        # As the official service does: null in all chunks but the last.
        return self._with((choice,), None if self._include_usage else UNSET)

    def _with(
        self, choices: tuple[ChunkChoice, ...], usage: CompletionUsage | UnsetType | None
    ) -> bytes:
        first = self._first
        assert first is not None, "a turn's first event is that it was created"
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

    def _end(self, index: int, response: Response) -> bytes:
        self._running -= 1
        self._ended.append(response)
        written = self._chunk(index, Delta(), _finish_reason(response, functions=self._functions))
        if self._running or not self._include_usage:
            return written
        return written + self._with((), usage_of(self._ended))


def completion(*responses: Response, functions: bool = False) -> Completion:
    """Return the ended responses to one request as a completion.

    Args:
        functions: a call is written as `function_call`, the form of before `tool_calls`.
    """
    first = responses[0]
    return Completion(
        id=completion_of(first.id),
        created=first.created_at,
        model=first.model,
        service_tier=first.service_tier,
        choices=tuple(
            _choice(index, response, functions=functions)
            for index, response in enumerate(responses)
        ),
        usage=usage_of(responses),
        metadata=first.metadata or UNSET,
    )


def _choice(index: int, response: Response, *, functions: bool) -> CompletionChoice:
    messages = [item for item in response.output if isinstance(item, MessageItem)]
    parts = [part for item in messages for part in item.content]
    text, calls = "".join(part.text for part in parts), calls_of(response)
    return CompletionChoice(
        index=index,
        message=CompletionMessage(
            content=None if calls and not text else text,
            tool_calls=UNSET if functions or not calls else calls,
            # Such a request has at most one.
            function_call=calls[0].function if functions and calls else UNSET,
        ),
        logprobs=_logprobs(tuple(each for part in parts for each in part.logprobs)),
        finish_reason=_finish_reason(response, functions=functions),
    )


def _logprobs(tokens: tuple[TokenLogprob, ...]) -> ChoiceLogprobs | None:
    return ChoiceLogprobs(content=tokens) if tokens else None


def _finish_reason(response: Response, *, functions: bool) -> FinishReason:
    if response.status == "incomplete":
        return "length"
    if not calls_of(response):
        return "stop"
    return "function_call" if functions else "tool_calls"


def in_chat_words(error: Error) -> Error:
    """Return an error with the name that its field has in this protocol."""
    if error.param is None:
        return error
    param = re.sub(r"^input\b", "messages", error.param)
    return replace(error, param=re.sub(r"^text\.format\b", "response_format", param))


def refusal_of(event: bytes) -> HttpResponse:
    """Return over HTTP the error event that ended a turn."""
    end = REFUSED.decode(event)
    return failure(in_chat_words(end.error), end.status)


def failure_of(response: Response) -> Error:
    """Return the error of a failed response."""
    error = response.error
    assert error is not None, "a failed response has an error"
    return Error(type="server_error", code=error.code, message=error.message, param=None)


def _data(body: Chunk | ErrorBody) -> bytes:
    return b"data: " + encode(body).encode() + b"\n\n"
