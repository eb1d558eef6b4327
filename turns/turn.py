"""A turn as a node submits it and as a worker claims it, and its JSON in the record."""

import json
from dataclasses import dataclass, fields
from typing import Literal

from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.token_logprobs import TokenLogprobs

Role = Literal["system", "user", "assistant"]
Tier = Literal["priority", "default", "flex", "batch"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How a turn is to be answered."""

    instructions: str | None
    sampling: SamplingParams
    #: Texts that end an answer; they are not part of it.
    stop: tuple[str, ...] = ()
    #: Whether the oldest turns may be dropped from a conversation that is too long.
    truncate: bool = False
    #: The grammar that the answer must follow, if any.
    constraint: Constraint | None = None

    def to_json(self) -> str:
        """Return its JSON for the record, without fields that have their default."""
        written = _stated(self) | {"sampling": _stated(self.sampling)}
        if self.constraint is not None:
            written["constraint"] = [self.constraint.kind, self.constraint.text]
        return json.dumps(written, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Request":
        """Read it from the record."""
        read = {"instructions": None} | json.loads(text)
        sampling = SamplingParams.from_fields(read["sampling"])
        constraint = Constraint(*read["constraint"]) if "constraint" in read else None
        stop = tuple(read.get("stop", ()))
        return cls(**read | {"sampling": sampling, "stop": stop, "constraint": constraint})


def _stated(value: "Request | SamplingParams") -> dict[str, object]:
    # Defaults are left out to save memory for each turn that waits.
    stated = {field.name: getattr(value, field.name) for field in fields(value)}
    defaults = {field.name: field.default for field in fields(value)}
    return {name: each for name, each in stated.items() if each not in (None, defaults[name])}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """The batch line that a turn is made of."""

    batch: str
    #: The runner's epoch: submits of an earlier runner are refused.
    epoch: int
    #: Number of the line in the batch's file, from 1.
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn to be submitted."""

    id: str
    owner: str
    model: str
    tier: Tier
    #: The new messages; earlier ones are found through `previous_response_id`.
    input: tuple[Message, ...]
    request: Request
    #: Id of the turn that this one continues; None: it begins a conversation.
    previous_response_id: str | None
    #: Whether the asking socket still holds that response, which then need not be stored.
    previous_cached: bool
    store: bool
    metadata: dict[str, str]
    #: Seconds since 1970.
    created_at: int
    #: Whether it goes on without a reader, even if it is not stored.
    background: bool = False
    #: False for a warm-up: it ends at once, and a later turn continues from it.
    generate: bool = True
    #: Another turn of this owner with the same key is this turn; None: there is no key.
    idempotency_key: str | None = None
    #: Hash of the request, to tell a repeat from another request with the same key.
    fingerprint: str = ""
    #: The batch line that this turn is made of; None: an interactive turn.
    batch: "BatchLine | None" = None

    @property
    def asks(self) -> bool:
        """Whether it ends in a user message; if not, the warm-up that it continues must."""
        spoken = [message for message in self.input if message.role != "system"]
        return bool(spoken) and spoken[-1].role == "user" and bool(spoken[-1].text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A turn that a worker has claimed, with all it needs to answer it."""

    id: str
    #: 1 for the first attempt; a higher one continues from the log.
    attempt: int
    #: Number of the last event in the log.
    seq: int
    request: Request
    #: The whole conversation, oldest first, ending with the new messages.
    messages: tuple[Message, ...]
    #: The response's JSON after its status and error.
    response: str
    #: Token ids whose text is in the log already.
    token_ids: tuple[int, ...]
    #: Of the same tokens; empty for a turn that reports none.
    logprobs: tuple[TokenLogprobs, ...] = ()
    tier: Tier = "default"
    #: Whether no node follows it, as for a batch line.
    unread: bool = False


def messages_to_json(messages: tuple[Message, ...]) -> str:
    """Return the JSON of messages for the record."""
    return json.dumps([[message.role, message.text] for message in messages], ensure_ascii=False)


def messages_from_json(text: str | bytes) -> tuple[Message, ...]:
    """Read messages from the record."""
    return tuple(Message(role, said) for role, said in json.loads(text))
