"""Reads the body of a request for a response; the same on the socket and over HTTP.

Unknown fields are ignored, since clients send fields of their own. What is known and can't be
honoured is refused rather than passed over, unless every client sends it by habit.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, replace

from turnstream.turns.errors import BadRequest
from turnstream.turns.ids import is_response_id, message_id, new_response_id
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request, Tier, Turn
from turnstream.ws_server import field, items
from turnstream.ws_server.directory import Model
from turnstream.ws_server.field import Body
from turnstream.ws_server.items import Input, Reference

#: What a request may call a tier, and which it is.
TIERS: dict[str, Tier] = {
    "priority": "priority",
    "fast": "priority",
    "default": "default",
    "auto": "default",
    "flex": "flex",
}
#: Seeds are kept where JavaScript can hold them.
_SEEDS = 2**53
_KEY_LENGTH = 256
#: Completion windows of somebody who is in no hurry.
_LATER = ("2h", "8h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A request for a response, checked, before it is known which model and defaults it gets."""

    model: str | None
    messages: tuple[Message, ...]
    #: Answers among the messages that are still to be looked up.
    references: tuple[Reference, ...] = ()
    instructions: str | None
    previous_response_id: str | None
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int
    frequency_penalty: float
    presence_penalty: float
    repetition_penalty: float
    seed: int | None
    truncate: bool
    stop: tuple[str, ...]
    store: bool
    background: bool
    #: False: nothing is answered, the turn is only there to be gone on from.
    generate: bool = True
    tier: Tier
    metadata: dict[str, str]
    #: Tells a repeated request; the same key never makes two turns.
    idempotency_key: str | None

    @property
    def fingerprint(self) -> str:
        """Tell this request from others; the same on every node."""
        return hashlib.sha256(repr(replace(self, idempotency_key=None)).encode()).hexdigest()

    def turn(self, owner: str, model: Model, *, parent_cached: bool) -> Turn:
        """Make the turn, with a name of its own.

        Raises:
            BadRequest: what it refers to was not looked up, as it can't be where it came from.
        """
        for reference in self.references:
            raise items.item_not_found(message_id(reference.response_id), reference.param)
        return Turn(
            id=new_response_id(),
            owner=owner,
            model=model.name,
            tier=self.tier,
            messages=self.messages,
            request=Request(
                instructions=self.instructions,
                truncate=self.truncate,
                stop=self.stop,
                sampling=SamplingParams(
                    max_tokens=self.max_output_tokens,
                    temperature=model.temperature if self.temperature is None else self.temperature,
                    top_p=model.top_p if self.top_p is None else self.top_p,
                    top_k=self.top_k,
                    frequency_penalty=self.frequency_penalty,
                    presence_penalty=self.presence_penalty,
                    repetition_penalty=self.repetition_penalty,
                    seed=secrets.randbelow(_SEEDS) if self.seed is None else self.seed,
                ),
            ),
            parent=self.previous_response_id,
            parent_cached=parent_cached,
            store=self.store,
            metadata=self.metadata,
            created_at=int(time.time()),
            background=self.background,
            generate=self.generate,
            idempotency_key=self.idempotency_key,
            fingerprint=self.fingerprint if self.idempotency_key else "",
        )


def read_create(body: Body) -> Create:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    _refuse_unsupported(body)
    parent = field.text(body, "previous_response_id")
    if parent is not None and not is_response_id(parent):
        raise BadRequest(
            f"Previous response with id '{parent[:80]}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    background = field.boolean(body, "background", False)
    generate = _generate(body)
    said = _said(body, generate=generate, goes_on=parent is not None)
    truncation = field.word(body, "truncation", "disabled", ("auto", "disabled"))
    return Create(
        model=field.text(body, "model"),
        messages=said.messages,
        references=said.references,
        instructions=items.instructions(field.text(body, "instructions")),
        previous_response_id=parent,
        max_output_tokens=field.whole(body, "max_output_tokens", least=1, most=1_000_000),
        temperature=field.number(body, "temperature", least=0, most=2),
        top_p=field.number(body, "top_p", least=0, most=1),
        top_k=read_top_k(body),
        frequency_penalty=read_penalty(body, "frequency_penalty"),
        presence_penalty=read_penalty(body, "presence_penalty"),
        repetition_penalty=read_repetition_penalty(body),
        seed=field.whole(body, "seed", least=-_SEEDS, most=_SEEDS),
        truncate=truncation == "auto",
        stop=(),
        store=field.boolean(body, "store", True),
        background=background,
        generate=generate,
        tier=_tier(body, background=background),
        metadata=field.metadata(body),
        idempotency_key=_idempotency_key(field.text(body, "idempotency_key")),
    )


def read_top_k(body: Body) -> int:
    """Read from how many tokens is drawn; -1 and 0 both are no limit, as clients differ."""
    return max(0, field.whole(body, "top_k", least=-1, most=1_000_000) or 0)


def read_penalty(body: Body, name: str) -> float:
    """Read a frequency or presence penalty."""
    return field.number(body, name, least=-2, most=2) or 0.0


def read_repetition_penalty(body: Body) -> float:
    """Read the penalty that 1 leaves without effect."""
    value = field.number(body, "repetition_penalty", least=0.01, most=100)
    return 1.0 if value is None else value


def read_compact(body: Body) -> Create:
    """Check what is to be compacted: it may end with an answer, and needs no question.

    Raises:
        BadRequest: a field is wrong or missing, or nothing was said at all.
    """
    if body.get("model") is None:
        raise BadRequest("'model' is missing.", code="missing_required_parameter", param="model")
    create = read_create({**body, "generate": False})
    if not create.messages and create.previous_response_id is None:
        raise BadRequest("'input' is missing.", code="missing_required_parameter", param="input")
    return create


def with_key(create: Create, key: str | None) -> Create:
    """Give a request the key of its `Idempotency-Key` header, if there is one.

    Raises:
        BadRequest: the key is empty or too long.
    """
    return create if key is None else replace(create, idempotency_key=_idempotency_key(key))


def _idempotency_key(key: str | None) -> str | None:
    if key is not None and not 1 <= len(key) <= _KEY_LENGTH:
        raise field.wrong("idempotency_key", f"1 to {_KEY_LENGTH} characters long")
    return key


def _generate(body: Body) -> bool:
    options = body.get("prompt_cache_options") or {}
    if not isinstance(options, dict):
        raise field.wrong("prompt_cache_options", "an object")
    prewarm = field.boolean(options, "prewarm", False)
    return field.boolean(body, "generate", not prewarm)


def _said(body: Body, *, generate: bool, goes_on: bool) -> Input:
    value = body.get("input")
    if value is None and generate:
        raise BadRequest("'input' is missing.", code="missing_required_parameter", param="input")
    said = Input(()) if value is None else items.read_input(value)
    if generate:
        items.check_question(said.messages, goes_on=goes_on)
    return said


def _tier(body: Body, *, background: bool) -> Tier:
    tier = TIERS[field.word(body, "service_tier", "auto", tuple(TIERS))]
    options = body.get("background_options") or {}
    if not isinstance(options, dict):
        raise field.wrong("background_options", "an object")
    # Known, checked and without effect: related requests are kept no closer than others.
    field.text(options, "continuation_id")
    window = options.get("completion_window") or "soonest"
    if window not in ("soonest", *_LATER):
        raise field.wrong("background_options.completion_window", "soonest, 2h or 8h")
    if window == "soonest":
        return tier
    if not background or field.boolean(body, "stream", False):
        raise field.wrong(
            "background_options.completion_window",
            "soonest, unless 'background' is true and 'stream' is not",
        )
    return "batch"


def _refuse_unsupported(body: Body) -> None:
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise field.unsupported(name, "use 'previous_response_id' and 'input'.")
    refuse_tools(body)
    match body.get("text"):
        case None | {"format": None | {"type": "text"}}:
            pass
        case dict(options) if "format" not in options:
            pass
        case _:
            raise BadRequest(
                "'text.format' must be of type 'text'.",
                code="unsupported_value",
                param="text.format",
            )


def refuse_tools(body: Body) -> None:
    """Refuse a request that insists on tools; those that only offer them are answered in words.

    Raises:
        BadRequest: `tool_choice` is another than auto or none.
    """
    if body.get("tool_choice") not in (None, "auto", "none"):
        raise field.unsupported("tool_choice", "this model calls no tools.")
