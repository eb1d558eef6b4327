"""Reads the body of `POST /v1/chat/completions`: the same turn, asked for in the older words."""

from dataclasses import dataclass

from turnstream.turns.errors import BadRequest
from turnstream.ws_server import field, items
from turnstream.ws_server.create import (
    TIERS,
    Create,
    read_penalty,
    read_repetition_penalty,
    read_top_k,
    refuse_tools,
)
from turnstream.ws_server.field import Body
from turnstream.ws_server.items import Input

_MOST_STOPS = 4


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for a completion, checked."""

    create: Create
    stream: bool
    #: Whether a stream ends with the numbers of tokens.
    include_usage: bool


def read_chat(body: Body) -> ChatRequest:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    _refuse_unsupported(body)
    longest = field.whole(body, "max_completion_tokens", least=1, most=1_000_000)
    if longest is None:
        longest = field.whole(body, "max_tokens", least=1, most=1_000_000)
    said = _said(body.get("messages"))
    create = Create(
        model=field.text(body, "model"),
        messages=said.messages,
        references=said.references,
        instructions=None,
        previous_response_id=None,
        max_output_tokens=longest,
        temperature=field.number(body, "temperature", least=0, most=2),
        top_p=field.number(body, "top_p", least=0, most=1),
        top_k=read_top_k(body),
        frequency_penalty=read_penalty(body, "frequency_penalty"),
        presence_penalty=read_penalty(body, "presence_penalty"),
        repetition_penalty=read_repetition_penalty(body),
        seed=field.whole(body, "seed", least=-(2**53), most=2**53),
        truncate=False,
        stop=_stops(body.get("stop")),
        store=field.boolean(body, "store", False),
        background=False,
        tier=TIERS[field.word(body, "service_tier", "auto", tuple(TIERS))],
        metadata=field.metadata(body),
        idempotency_key=None,
    )
    options = body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise field.wrong("stream_options", "an object")
    return ChatRequest(
        create,
        stream=field.boolean(body, "stream", False),
        include_usage=field.boolean(options, "include_usage", False),
    )


def _said(value: object) -> Input:
    if value is None:
        raise BadRequest(
            "'messages' is missing.", code="missing_required_parameter", param="messages"
        )
    if isinstance(value, str):
        raise field.wrong("messages", "a list of messages")
    said = items.read_input(value, "messages")
    items.check_question(said.messages, "messages", goes_on=False)
    return said


def _stops(value: object) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case str():
            stops = [value]
        case list():
            stops = value
        case _:
            raise field.wrong("stop", "a string or a list of strings")
    read = tuple(field.checked_text(stop, "stop") for stop in stops)
    if len(read) > _MOST_STOPS or not all(read):
        raise field.wrong("stop", f"at most {_MOST_STOPS} strings, none of them empty")
    return read


def _refuse_unsupported(body: Body) -> None:
    if field.whole(body, "n", least=1, most=128) not in (None, 1):
        raise BadRequest(
            "'n' must be 1: one answer is given to a question.",
            code="unsupported_value",
            param="n",
        )
    if field.boolean(body, "logprobs", False):
        raise field.unsupported("logprobs", "they are not kept.")
    match body.get("response_format"):
        case None | {"type": "text"}:
            pass
        case _:
            raise BadRequest(
                "'response_format' must be of type 'text'.",
                code="unsupported_value",
                param="response_format",
            )
    refuse_tools(body)
