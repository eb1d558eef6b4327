"""A turn as a node hands it in and as a worker takes it up, and its JSON in the record."""

import json
from dataclasses import dataclass, fields
from typing import Literal

from turnstream.turns.sampling_params import SamplingParams

Role = Literal["system", "user", "assistant"]
Tier = Literal["priority", "default", "flex", "batch"]


@dataclass(frozen=True, slots=True)
class Message:
    """Who said what."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How a turn is to be answered."""

    instructions: str | None
    sampling: SamplingParams
    #: Texts that end an answer where they would begin in it.
    stop: tuple[str, ...] = ()
    #: Whether the oldest turns may be dropped from a conversation that is too long.
    truncate: bool = False

    def to_json(self) -> str:
        """Write it for the record, without what is as by default."""
        written = _stated(self) | {"sampling": _stated(self.sampling)}
        return json.dumps(written, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Request":
        """Read it from the record."""
        read = {"instructions": None} | json.loads(text)
        sampling = SamplingParams(**read["sampling"])
        return cls(**read | {"sampling": sampling, "stop": tuple(read.get("stop", ()))})


def _stated(value: "Request | SamplingParams") -> dict[str, object]:
    # What is left open need not be kept for every turn that waits.
    stated = {field.name: getattr(value, field.name) for field in fields(value)}
    defaults = {field.name: field.default for field in fields(value)}
    return {name: each for name, each in stated.items() if each not in (None, defaults[name])}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """Where a turn of a batch comes from, and who hands it in."""

    batch: str
    #: Which feeder: one that has lost the batch since hands nothing in any more.
    epoch: int
    #: Number of the line in the batch's file, from 1.
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question on its way into the line."""

    id: str
    owner: str
    model: str
    tier: Tier
    #: What is new in this turn; what came before is found by `parent`.
    messages: tuple[Message, ...]
    request: Request
    #: The turn that this one goes on from.
    parent: str | None
    #: Whether the asking socket still holds `parent`, which then need not be stored.
    parent_cached: bool
    store: bool
    metadata: dict[str, str]
    #: Seconds since 1970.
    created_at: int
    #: Nobody has to read it for it to go on, even if it is not stored.
    background: bool = False
    #: False for a warm-up: it is over at once, and only there to be gone on from.
    generate: bool = True
    #: Another turn of this owner with the same key is this turn; None: there is no key.
    idempotency_key: str | None = None
    #: What was asked for, to tell a repeated request from another one with the same key.
    fingerprint: str = ""
    #: The batch that this turn is a line of, which alone reads and forgets it; None for people's.
    batch: "BatchLine | None" = None

    @property
    def asks(self) -> bool:
        """Whether it ends in a question; else it needs a warm-up before it that does."""
        spoken = [message for message in self.messages if message.role != "system"]
        return bool(spoken) and spoken[-1].role == "user" and bool(spoken[-1].text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A turn that a worker has taken up, with all it needs to answer it."""

    id: str
    #: 1 for the first try; a higher one goes on where the last left off.
    attempt: int
    #: Number of the last event in the log.
    seq: int
    request: Request
    #: The whole conversation, oldest first, ending with what is asked now.
    messages: tuple[Message, ...]
    #: The response's JSON after its status and error.
    rest: str
    #: Token ids whose text is in the log already.
    ids: tuple[int, ...]
    tier: Tier = "default"
    #: Nobody reads it while it is written, as of a batch's line.
    unread: bool = False


def messages_to_json(messages: tuple[Message, ...]) -> str:
    """Write messages for the record."""
    return json.dumps([[message.role, message.text] for message in messages], ensure_ascii=False)


def messages_from_json(text: str | bytes) -> tuple[Message, ...]:
    """Read messages from the record."""
    return tuple(Message(role, said) for role, said in json.loads(text))
