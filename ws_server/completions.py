"""Text completions: `/v1/completions` continues raw prompts, without a chat format.

Each prompt of a request is a turn like any other. The id of a completion is that of its first turn
with another prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response as HttpResponse

from turnstream.turns.errors import TurnError, error_body
from turnstream.turns.event_json import encode, event_type
from turnstream.turns.ids import text_completion_of
from turnstream.turns.response import text_of
from turnstream.turns.shapes import Error, Response
from turnstream.turns.turn import Message, Turn
from turnstream.ws_server import field, fields
from turnstream.ws_server.bodies import (
    CompletionUsage,
    ErrorBody,
    FinishReason,
)
from turnstream.ws_server.chat import failure_of
from turnstream.ws_server.choices import index_of
from turnstream.ws_server.completion_bodies import (
    MOST_PROMPTS,
    TextChoice,
    TextCompletion,
    TextCompletionBody,
)
from turnstream.ws_server.create import KEY_LENGTH, TIERS, Create, with_key
from turnstream.ws_server.decode import decode
from turnstream.ws_server.directory import Model
from turnstream.ws_server.event_parts import DELTA, ENDED, QUEUED, REFUSED, usage_of
from turnstream.ws_server.field import Body
from turnstream.ws_server.sampling import sampling_of
from turnstream.ws_server.wire import failure

#: Tokens of an answer if the request does not say, as at OpenAI.
_MOST_TOKENS = 16
#: Names of fields in errors that come from a turn, and what they are called here.
_NAMES = {"input": "prompt", "max_output_tokens": "max_tokens"}

Prompt = str | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """A validated request for text completions."""

    #: What each choice begins with; empty without `echo`.
    echoes: tuple[str, ...]
    #: For each choice the request of its turn.
    creates: tuple[Create, ...]
    stream: bool
    #: Whether a stream ends with token usage.
    include_usage: bool

    @property
    def model(self) -> str | None:
        """The model of all of them."""
        return self.creates[0].model


def read_completion(body: Body) -> TextRequest:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    fields.check(body, fields.TEXT)
    asked = decode(body, TextCompletionBody)
    if asked.max_tokens == 0:
        raise field.wrong("max_tokens", "at least 1, or -1 for no limit")
    stops = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    if not all(stops):
        raise field.wrong("stop", "at most 4 strings, none of them empty")
    prompts = _prompts(asked)
    if asked.echo and not all(isinstance(prompt, str) for prompt in prompts):
        raise field.unsupported("echo", "send the prompt as text to have it repeated.")
    return TextRequest(
        echoes=tuple(str(prompt) if asked.echo else "" for prompt in prompts),
        creates=tuple(_create(asked, prompt, stops) for prompt in prompts),
        stream=asked.stream is True,
        include_usage=asked.stream_options is not None
        and asked.stream_options.include_usage is True,
    )


def _prompts(asked: TextCompletionBody) -> list[Prompt]:
    """Return the prompts of a request: a text, a list of texts, ids, or a list of lists of ids."""
    match asked.prompt:
        case None:
            return [""]
        case str(text):
            return [text]
        case [int(), *_] as ids if all(isinstance(id, int) for id in ids):
            return [tuple(id for id in ids if isinstance(id, int))]
        case [_, *_] as many:
            if len(many) > MOST_PROMPTS:
                raise field.wrong("prompt", f"at most {MOST_PROMPTS} prompts")
            if all(isinstance(each, str) for each in many):
                return [each for each in many if isinstance(each, str)]
            if all(isinstance(each, list) and each for each in many):
                return [tuple(each) for each in many if isinstance(each, list)]
    raise field.wrong("prompt", "a string, a list of token ids, or a list of strings or of such")


def _create(asked: TextCompletionBody, prompt: Prompt, stops: tuple[str, ...]) -> Create:
    most = _MOST_TOKENS if asked.max_tokens is None else asked.max_tokens
    limit = None if most == -1 else most
    return Create(
        model=asked.model,
        messages=(Message("user", prompt),) if isinstance(prompt, str) else (),
        instructions=None,
        previous_response_id=None,
        max_output_tokens=limit,
        sampling=sampling_of(asked, limit=limit),
        truncate=False,
        stop=stops,
        store=False,
        background=False,
        tier=TIERS[asked.service_tier or "auto"],
        metadata=asked.metadata or {},
        raw=True,
        prompt_ids=() if isinstance(prompt, str) else prompt,
        idempotency_key=None,
    )


def turns_of(asked: TextRequest, key: str | None, owner: str, model: Model) -> list[Turn]:
    """Make the turns of a request, perhaps with an idempotency key.

    Raises:
        BadRequest: the key is empty or too long.
    """
    creates = [with_key(create, key) for create in asked.creates]
    made = [create.turn(owner, model, previous_cached=False) for create in creates]
    turns = [replace(turn, siblings=len(made) - 1 - at) for at, turn in enumerate(made)]
    if key is None:
        return turns
    # Longer than a client's key may be, so that it is never another request's.
    keys = [key, *(f"{key:{KEY_LENGTH}}:{index}" for index in range(1, len(turns)))]
    return [replace(turn, idempotency_key=own) for turn, own in zip(turns, keys, strict=True)]


class TextWire:
    """Write the events of the turns of a request as pieces of a text completion."""

    def __init__(self, asked: TextRequest) -> None:
        self._asked = asked
        #: The first response as it was created.
        self._first: Response | None = None
        self._ended: list[Response] = []

    def event(self, event: bytes) -> bytes:
        """Return the piece of an event; empty if it has none."""
        index = index_of(event)
        match event_type(event):
            case b"response.output_text.delta":
                return self._piece(index, DELTA.decode(event).delta)
            case b"response.created":
                self._first = self._first or ENDED.decode(event).response
                echo = self._asked.echoes[index]
                return self._piece(index, echo) if echo else b""
            case b"response.queued":
                return f": queued position={QUEUED.decode(event).queue.position}\n\n".encode()
            case b"error":
                return _data(ErrorBody(error=_in_words(REFUSED.decode(event).error)))
            case b"response.failed":
                return _data(ErrorBody(error=failure_of(ENDED.decode(event).response)))
            case b"response.completed" | b"response.incomplete":
                return self._end(index, ENDED.decode(event).response)
            case _:
                return b""

    def refusal(self, event: bytes) -> HttpResponse | None:
        """Return the answer to a request with a turn that failed, if this event is its end."""
        match event_type(event):
            case b"error":
                end = REFUSED.decode(event)
                return failure(_in_words(end.error), end.status)
            case b"response.failed":
                return failure(failure_of(ENDED.decode(event).response), 500)
            case _:
                return None

    def error(self, error: TurnError) -> bytes:
        """Return the error that ended the stream before the turns ended."""
        return _data(ErrorBody(error=_in_words(error_body(error))))

    def end(self) -> bytes:
        """Return the end of the stream: empty if a turn failed."""
        return b"data: [DONE]\n\n" if len(self._ended) == len(self._asked.creates) else b""

    def _piece(self, index: int, text: str, finish_reason: FinishReason | None = None) -> bytes:
        choice = TextChoice(index=index, text=text, finish_reason=finish_reason)
        # As the official service does: null in all pieces but the last.
        return self._with((choice,), None if self._asked.include_usage else UNSET)

    def _with(
        self, choices: tuple[TextChoice, ...], usage: CompletionUsage | UnsetType | None
    ) -> bytes:
        assert self._first is not None, "a turn's first event is that it was created"
        return _data(_completion(self._first, choices, usage))

    def _end(self, index: int, response: Response) -> bytes:
        self._ended.append(response)
        written = self._piece(index, "", _finish_reason(response))
        if len(self._ended) < len(self._asked.creates) or not self._asked.include_usage:
            return written
        return written + self._with((), usage_of(self._ended))


def completion(responses: Sequence[Response], echoes: Sequence[str]) -> TextCompletion:
    """Return the ended responses to a request as a text completion."""
    choices = tuple(
        TextChoice(
            index=index,
            text=echo + text_of(response),
            finish_reason=_finish_reason(response),
        )
        for index, (echo, response) in enumerate(zip(echoes, responses, strict=True))
    )
    return _completion(responses[0], choices, usage_of(responses))


def _completion(
    first: Response, choices: tuple[TextChoice, ...], usage: CompletionUsage | UnsetType | None
) -> TextCompletion:
    return TextCompletion(
        id=text_completion_of(first.id),
        created=first.created_at,
        model=first.model,
        choices=choices,
        usage=usage,
    )


def _finish_reason(response: Response) -> FinishReason:
    return "length" if response.status == "incomplete" else "stop"


def _in_words(error: Error) -> Error:
    """Return an error with the name that its field has in this protocol."""
    return msgspec.structs.replace(error, param=_NAMES.get(error.param or "", error.param))


def _data(body: TextCompletion | ErrorBody) -> bytes:
    return b"data: " + encode(body).encode() + b"\n\n"
