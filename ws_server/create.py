"""Check a request for a response, over the socket or HTTP, and make its turn.

The declared types check each field; this file checks what depends on several fields.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from turnstream.turns.errors import BadRequest, CallNotFound, ConversationNotFound
from turnstream.turns.ids import is_conversation_id, is_response_id, new_response_id
from turnstream.turns.origin import Origin
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.shapes import Hints
from turnstream.turns.turn import Item, Request, Tier, Turn, unmatched_outputs
from turnstream.ws_server import (
    answer_formats,
    field,
    fields,
    hints,
    items,
    request_options,
    requests,
    tools,
)
from turnstream.ws_server.answer_formats import Grammar
from turnstream.ws_server.decode import decode
from turnstream.ws_server.directory import Model
from turnstream.ws_server.field import Body
from turnstream.ws_server.items import Input, Reference
from turnstream.ws_server.sampling import logprobs_of, sampling_of
from turnstream.ws_server.tools import Tools

#: Tiers by the names that requests use.
TIERS: dict[str, Tier] = {
    "priority": "priority",
    "fast": "priority",
    "default": "default",
    "auto": "default",
    "flex": "flex",
}
#: Seeds that are drawn stay in the range that JavaScript represents exactly.
_SEEDS = 2**53
#: Characters of an idempotency key, at most.
KEY_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A validated request, before its model and the model's defaults are known."""

    model: str | None
    messages: tuple[Item, ...]
    #: What the messages name by id and is not looked up yet.
    references: tuple[Reference, ...] = ()
    instructions: str | None
    previous_response_id: str | None
    #: Id of the conversation that the turn belongs to.
    conversation: str | None = None
    max_output_tokens: int | None
    #: What the request states, by the names of `SamplingParams`; the rest is the model's default.
    sampling: dict[str, Any]
    truncate: bool
    stop: tuple[str, ...]
    store: bool
    background: bool
    #: False is a warm-up: no answer is generated, and another turn can continue it.
    generate: bool = True
    tier: Tier
    metadata: dict[str, str]
    #: Returned with the response, without effect on the answer.
    hints: Hints = Hints()
    #: Number of answers, of which each is a turn.
    choices: int = 1
    #: Whether the messages are the prompt itself, without a chat format.
    raw: bool = False
    #: The prompt as token ids, in place of messages.
    prompt_ids: tuple[int, ...] = ()
    #: What the answer must follow.
    grammar: Grammar | None = None
    #: What the answer may call.
    tools: Tools = Tools()
    #: Identifies a repeated request; one key never makes two turns.
    idempotency_key: str | None

    @property
    def fingerprint(self) -> str:
        """Return a digest of the request without its key; the same on every node."""
        return hashlib.sha256(repr(replace(self, idempotency_key=None)).encode()).hexdigest()

    @property
    def grammars(self) -> tuple[Grammar, ...]:
        """Everything that must compile before the turn is submitted."""
        return (*((self.grammar,) if self.grammar else ()), *self.tools.grammars)

    def turn(
        self, owner: str, model: Model, *, previous_cached: bool, origin: Origin | None = None
    ) -> Turn:
        """Make the turn, with a new id.

        Raises:
            BadRequest: a reference was not looked up, because this endpoint does not support it.
        """
        for reference in self.references:
            raise items.item_not_found(reference.item_id, reference.param)
        return Turn(
            id=new_response_id(),
            owner=owner,
            model=model.name,
            tier=self.tier,
            input=self.messages,
            request=Request(
                instructions=self.instructions,
                truncate=self.truncate,
                stop=self.stop,
                raw=self.raw,
                prompt_ids=self.prompt_ids,
                constraint=self.grammar.constraint if self.grammar else None,
                tools=self.tools.tools,
                tool_choice=self.tools.choice,
                parallel_tool_calls=self.hints.parallel_tool_calls,
                sampling=SamplingParams(
                    max_tokens=self.max_output_tokens,
                    **{
                        "temperature": model.temperature,
                        "top_p": model.top_p,
                        "seed": drawn_seed(),
                    }
                    | self.sampling,
                ),
            ),
            previous_response_id=self.previous_response_id,
            conversation=self.conversation,
            previous_cached=previous_cached,
            store=self.store,
            metadata=self.metadata,
            context=model.context,
            hints=self.hints,
            created_at=int(time.time()),
            background=self.background,
            generate=self.generate,
            idempotency_key=self.idempotency_key,
            fingerprint=self.fingerprint if self.idempotency_key else "",
            origin=origin or Origin(),
        )


def drawn_seed() -> int:
    """Return the seed of a turn whose request has none."""
    return secrets.randbelow(_SEEDS)


def read_create(body: Body) -> Create:
    """Check a request.

    Raises:
        BadRequest: a field is wrong, missing or not supported; it says which.
    """
    fields.check(body, fields.RESPONSES)
    return create_of(decode(body, requests.ResponseBody))


def create_of(body: requests.ResponseBody, *, strict: bool = True) -> Create:
    """Check what the declared types cannot say of a request.

    Args:
        strict: the last user message is to be answered, now or later.

    Raises:
        BadRequest: a field is wrong or missing; it says which.
    """
    previous = body.previous_response_id
    if previous is not None and not is_response_id(previous):
        raise BadRequest(
            f"Previous response with id '{previous[:80]}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    conversation = _conversation(body)
    prewarm = body.prompt_cache_options is not None and body.prompt_cache_options.prewarm is True
    generate = not prewarm if body.generate is None else body.generate
    if body.input is None and generate:
        raise BadRequest("'input' is missing.", code="missing_required_parameter", param="input")
    read = Input(()) if body.input is None else items.read_input(body.input)
    if body.stream_options is not None:
        field.check_obfuscation(body.stream_options.include_obfuscation)
    if generate:
        goes_on = bool(previous or conversation)
        items.check_answerable(read, goes_on=goes_on, instructions=body.instructions)
        # Of the calls of a conversation that goes on, only Redis knows.
        for call_id in () if goes_on else unmatched_outputs(read.items):
            raise CallNotFound(call_id)
    elif strict:
        items.check_last_user(read)
    said = hints.of_response(body)
    params = [f"tools[{number}]" for number in range(len(said.tools))]
    grammar = answer_formats.of_response(body)
    called = tools.read(said.tools, said.tool_choice, params, text_held=grammar is not None)
    tools.check_end(called, ignore_eos=body.ignore_eos, min_tokens=body.min_tokens)
    return Create(
        model=body.model,
        messages=read.items,
        references=read.references,
        instructions=body.instructions,
        previous_response_id=previous,
        conversation=conversation,
        max_output_tokens=body.max_output_tokens,
        sampling=sampling_of(body, limit=body.max_output_tokens) | logprobs_of(body),
        truncate=body.truncation == "auto",
        stop=(),
        store=body.store is not False,
        background=body.background is True,
        generate=generate,
        tier=_tier(body),
        metadata=body.metadata or {},
        hints=said,
        grammar=grammar,
        tools=called,
        idempotency_key=body.idempotency_key,
    )


def read_compact(body: Body) -> Create:
    """Check what is to be compacted: it may end with an answer, and needs no question.

    Raises:
        BadRequest: a field is wrong or missing, or there is no conversation at all.
    """
    read = decode(body, requests.CompactBody)
    create = create_of(
        requests.ResponseBody(
            model=read.model,
            input=read.input,
            instructions=read.instructions,
            previous_response_id=read.previous_response_id,
            generate=False,
        ),
        strict=False,
    )
    if not create.messages and create.previous_response_id is None:
        raise BadRequest("'input' is missing.", code="missing_required_parameter", param="input")
    return create


def with_key(create: Create, key: str | None) -> Create:
    """Return the request with the key of its `Idempotency-Key` header, if there is one.

    Raises:
        BadRequest: the key is empty or too long.
    """
    if key is None:
        return create
    if not 1 <= len(key) <= KEY_LENGTH:
        raise field.wrong("idempotency_key", f"1 to {KEY_LENGTH} characters long")
    return replace(create, idempotency_key=key)


def _conversation(body: requests.ResponseBody) -> str | None:
    named = body.conversation
    id = named.id if isinstance(named, requests.ConversationParam) else named
    if id is not None and body.previous_response_id is not None:
        raise BadRequest(
            "Send one of 'previous_response_id' and 'conversation', not both.",
            code="mutually_exclusive_parameters",
            param="conversation",
        )
    if id is not None and not is_conversation_id(id):
        raise ConversationNotFound(id)
    return id


def _tier(body: requests.ResponseBody) -> Tier:
    options = body.background_options or request_options.BackgroundOptions()
    if options.completion_window in (None, "soonest"):
        return TIERS[body.service_tier or "auto"]
    if not body.background or body.stream:
        raise field.wrong(
            "background_options.completion_window",
            "soonest, unless 'background' is true and 'stream' is not",
        )
    return "batch"
