"""A turn as a node submits it and as a worker claims it, and its JSON in the record."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, assert_never

from turnstream.prompts.tools import Offer, Tool, ToolChoice, offer
from turnstream.turns import tools_json
from turnstream.turns.constraint import Constraint
from turnstream.turns.event_json import encode
from turnstream.turns.origin import Origin
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.shapes import Hints
from turnstream.turns.token_logprobs import TokenLogprobs

Role = Literal["system", "user", "assistant"]
Tier = Literal["priority", "default", "flex", "batch"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call of a tool that the assistant asked for."""

    #: Joins the call to its output.
    call_id: str
    name: str
    #: JSON, as the model wrote it: it may be malformed.
    arguments: str
    #: The item's own id, if its sender gave it one.
    id: str | None = None
    status: ItemStatus = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCallOutput:
    """What a tool returned."""

    call_id: str
    output: str
    #: The item's own id, if its sender gave it one.
    id: str | None = None
    status: ItemStatus = "completed"


#: What a conversation consists of.
Item = Message | FunctionCall | FunctionCallOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How a turn is to be answered."""

    instructions: str | None
    sampling: SamplingParams
    #: Texts that end an answer; they are not part of it.
    stop: tuple[str, ...] = ()
    #: Whether the oldest turns may be dropped from a conversation that is too long.
    truncate: bool = False
    #: Whether the input is the prompt itself, without a chat format.
    raw: bool = False
    #: The ids of a raw prompt that was sent as such; else it is text, in the input.
    prompt_ids: tuple[int, ...] = ()
    #: The grammar that the answer's text must follow, if any.
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    #: Whether the answer may have several calls of tools.
    parallel_tool_calls: bool = True

    @property
    def offer(self) -> Offer | None:
        """The tools that the answer may call; None: it is text."""
        return offer(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    def to_json(self) -> str:
        """Return its JSON for the record, without fields that have their default."""
        written = _stated(self) | {"sampling": _stated(self.sampling)}
        if self.constraint is not None:
            written["constraint"] = [self.constraint.kind, self.constraint.text]
        if self.tools:
            written["tools"] = [tools_json.tool_written(tool) for tool in self.tools]
        if self.tool_choice != "auto":
            written["tool_choice"] = tools_json.choice_written(self.tool_choice)
        return json.dumps(written, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Request":
        """Read it from the record."""
        read = {"instructions": None} | json.loads(text)
        sampling = SamplingParams.from_fields(read["sampling"])
        constraint = Constraint(*read["constraint"]) if "constraint" in read else None
        lists = {name: tuple(read.get(name, ())) for name in ("stop", "prompt_ids")}
        return cls(
            **read
            | lists
            | {
                "sampling": sampling,
                "constraint": constraint,
                "tools": tuple(Tool(**each) for each in read.get("tools", ())),
                "tool_choice": tools_json.choice_read(read.get("tool_choice", "auto")),
            }
        )


def _stated(value: "Request | SamplingParams") -> dict[str, object]:
    # Defaults are left out to save memory for each turn that waits.
    of_kind = _DEFAULTS[type(value)].items()
    return {k: each for k, default in of_kind if (each := getattr(value, k)) not in (None, default)}


_DEFAULTS: dict[type, dict[str, object]] = {
    kind: {field.name: field.default for field in fields(kind)}
    for kind in (Request, SamplingParams)
}


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
    #: The new items; earlier ones are found through `previous_response_id`.
    input: tuple[Item, ...]
    request: Request
    #: Id of the turn that this one continues; None: it begins a conversation.
    previous_response_id: str | None
    #: Whether the asking socket still holds that response, which then need not be stored.
    previous_cached: bool
    store: bool
    metadata: dict[str, str]
    #: Seconds since 1970.
    created_at: int
    #: Turns of the same request that are submitted after it, for which there must be room too.
    siblings: int = 0
    #: Tokens of prompt and answer together that its model takes at most; None: not known.
    context: int | None = None
    #: Id of a conversation: the turn continues its last turn, and becomes its last.
    conversation: str | None = None
    #: Whether it goes on without a reader, even if it is not stored.
    background: bool = False
    #: False for a warm-up: it ends at once, and a later turn continues from it.
    generate: bool = True
    #: Another turn of this owner with the same key is this turn; None: there is no key.
    idempotency_key: str | None = None
    #: Hash of the request, to tell a repeat from another request with the same key.
    fingerprint: str = ""
    #: What the request says without effect on the answer.
    hints: Hints = Hints()
    #: Id of its key, and how many requests a minute that may make; 0: as many as its owner may.
    api_key: str = ""
    requests_per_minute: int = 0
    #: The batch line that this turn is made of; None: an interactive turn.
    batch: "BatchLine | None" = None
    origin: Origin = Origin()

    @property
    def asks(self) -> bool:
        """Whether its input alone can be answered; if not, what it continues must be."""
        last = spoken_at(self.input)
        if last is not None:
            return can_be_answered(self.input[last])
        system = [item.text for item in self.input if isinstance(item, Message)]
        if self.generate:
            # A warm-up's instructions are not those of the turn that continues it.
            system.append(self.request.instructions or "")
        return any(text.strip() for text in system)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A turn that a worker has claimed, with all it needs to answer it."""

    id: str
    #: 1 for the first attempt; a higher one continues from the log.
    attempt: int
    #: Number of the last event in the log.
    seq: int
    request: Request
    #: The whole conversation, oldest first, ending with the new items.
    messages: tuple[Item, ...]
    #: The response's JSON after its status and error.
    response: str
    #: Token ids whose text is in the log already.
    token_ids: tuple[int, ...]
    #: Of the same tokens; empty for a turn that reports none.
    logprobs: tuple[TokenLogprobs, ...] = ()
    tier: Tier = "default"
    owner: str = ""
    #: Whether its conversation has earlier turns that were not read, because they don't fit.
    cut: bool = False
    #: The turn that it continues, if an earlier one of its conversation was deleted; else empty.
    broken_after: str = ""
    #: Whether no node follows it, as for a batch line.
    unread: bool = False
    #: Time from its submit to this claim; of a later attempt all earlier ones included.
    waited_seconds: float = 0.0
    origin: Origin = Origin()


def spoken_at(items: Sequence[Item]) -> int | None:
    """Return the index of the last item that is neither of the system nor an empty reply.

    Clients send an empty reply where none was generated.
    """
    for at in range(len(items) - 1, -1, -1):
        match items[at]:
            case Message("system"):
                pass
            case Message("assistant", text) if not text.strip():
                pass
            case _:
                return at
    return None


def can_be_answered(last: Item) -> bool:
    """Return whether a conversation can be answered that ends in this item: not after a call."""
    return not isinstance(last, FunctionCall)


def unmatched_outputs(items: Sequence[Item]) -> list[str]:
    """Return the call ids of the outputs at the end whose calls are not among the items.

    Only what is to be answered is matched: of what was said before, a client may have kept a part.
    """
    calls = {item.call_id for item in items if isinstance(item, FunctionCall)}
    ids: list[str] = []
    for item in reversed(items):
        match item:
            case FunctionCallOutput() if item.call_id not in calls:
                ids.insert(0, item.call_id)
            case Message("user" | "assistant"):
                break
    return ids


def items_to_json(items: Iterable[Item]) -> str:
    """Return the JSON of items for the record."""
    return encode([_written(item) for item in items])


def items_from_json(text: str | bytes) -> tuple[Item, ...]:
    """Read items from the record.

    Raises:
        ValueError: `items_to_json` did not write it.
    """
    return tuple(_item(value) for value in json.loads(text))


def _written(item: Item) -> Any:
    match item:
        case Message():
            return [item.role, item.text]
        case FunctionCall():
            return {"type": "function_call"} | asdict(item)
        case FunctionCallOutput():
            return {"type": "function_call_output"} | asdict(item)
        case _:
            assert_never(item)


def _item(value: Any) -> Item:
    if isinstance(value, list):
        role, said = value
        return Message(role, said)
    written = dict(value)
    match written.pop("type", None):
        case "function_call":
            return FunctionCall(**written)
        case "function_call_output":
            return FunctionCallOutput(**written)
        case kind:
            raise ValueError(f"there is no item of type {kind!r}")
