"""The values of batches: a batch's record, its plan, its lines' turns, and commits to its output.

A batch is a file of requests that are answered when no other turn waits. The calls that read and
change these values in Redis are in `turns.batch_store`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

import msgspec

from turnstream.turns.errors import NewerVersion
from turnstream.turns.record import VERSION
from turnstream.turns.shapes import Problem


class BatchLost(Exception):
    """Another runner has taken the batch."""


class Status(StrEnum):
    """A batch's status, as the record and the wire name it."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


#: Names of the record's fields that hold when a batch reached a status.
MOMENTS = tuple(f"{status}_at" for status in Status if status is not Status.VALIDATING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a batch was created with."""

    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: dict[str, str] | None
    #: Seconds since 1970, like all times here.
    created_at: int
    expires_at: int
    #: How long the files of its results are kept.
    output_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch's record at one moment."""

    id: str
    owner: str
    plan: Plan
    status: Status
    model: str | None
    total: int
    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    #: Time of each of `MOMENTS` that it has reached.
    moments: dict[str, int]
    #: The problems for which its file was refused.
    problems: list[Problem] | None
    output_file_id: str | None
    error_file_id: str | None
    #: How often a runner took it; only the runner with this epoch may change it.
    epoch: int
    #: Number of commits so far.
    step: int
    #: Number of the first line that may be uncommitted, and its byte offset in the file.
    next_line: int
    next_offset: int
    #: The status that it will end with; known from `finalizing` on.
    ending: Status


class Verdict(Enum):
    """The state of a line's turn after it was submitted or cancelled."""

    #: It is queued or running, or was just cancelled: its id will be in the batch's ended turns.
    ACCEPTED = auto()
    #: It had ended before.
    ENDED = auto()
    #: There is no such turn.
    ABSENT = auto()
    #: The queue has no room for it now.
    POSTPONED = auto()
    NO_PREVIOUS = auto()
    PREVIOUS_RUNNING = auto()

    @classmethod
    def of_submit(cls, reply: Sequence[bytes]) -> "Verdict":
        """Return what a reply of submit.lua says."""
        match reply:
            case [b"ok", b"queued" | b"in_progress"]:
                return cls.ACCEPTED
            case [b"ok", _]:
                return cls.ENDED
            # A line without a question continues a turn whose question is open; there is none.
            case [b"previous_response_not_found"] | [b"no_question"]:
                return cls.NO_PREVIOUS
            case [b"previous_response_running"]:
                return cls.PREVIOUS_RUNNING
            case _:
                return cls.POSTPONED

    @classmethod
    def of_cancel(cls, reply: bytes) -> "Verdict":
        """Return what a reply of cancel.lua says."""
        match reply:
            case b"ok":
                return cls.ACCEPTED
            case b"response_not_active":
                return cls.ENDED
            case _:
                return cls.ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTurn:
    """The end of a line's turn."""

    id: str
    status: str
    #: As in the turn's record: JSON, and JSON after status and error.
    error: str
    response: str
    #: Its terminal event if it failed and its log still exists.
    last: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Lines that are committed to a batch's output together."""

    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    #: Number of the first line that may be uncommitted afterwards, and its byte offset.
    next_line: int
    next_offset: int
    #: How many ids at the head of the batch's ended turns have their result and can be removed.
    read: int
    #: Names of the parts that were written: none, one or two.
    parts: Sequence[str]
    #: Each line's number and the id of its turn, '' if it never became a turn.
    lines: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class CommittedLines:
    """The lines that are committed already, from some line on."""

    first_byte: int
    bits: bytes

    def __contains__(self, number: int) -> bool:
        byte = number // 8 - self.first_byte
        return 0 <= byte < len(self.bits) and bool(self.bits[byte] & (0x80 >> number % 8))


def line_turn_id(batch: str, number: int) -> str:
    """Return the id of a line's turn; derived, so that a line submitted twice is one turn."""
    return "resp_" + hashlib.sha256(f"{batch} {number}".encode()).hexdigest()[:32]


def _problems(text: str) -> list[Problem]:
    return msgspec.json.decode(text, type=list[Problem])


def batch_of(id: str, record: Mapping[bytes, bytes]) -> Batch:
    """Read a batch's record.

    Raises:
        NewerVersion: a newer release wrote it.
    """
    fields = {name.decode(): value.decode() for name, value in record.items()}

    def number(name: str) -> int:
        return int(fields.get(name, 0))

    if number("version") > VERSION:
        raise NewerVersion(id)
    line, _, offset = fields.get("place", "1 0").partition(" ")
    return Batch(
        id=id,
        owner=fields["owner"],
        plan=Plan(**json.loads(fields["plan"])),
        status=Status(fields["status"]),
        model=fields.get("model"),
        total=number("total"),
        completed=number("completed"),
        failed=number("failed"),
        input_tokens=number("input_tokens"),
        cached_tokens=number("cached_tokens"),
        output_tokens=number("output_tokens"),
        moments={name: int(fields[name]) for name in MOMENTS if name in fields},
        problems=_problems(fields["problems"]) if "problems" in fields else None,
        output_file_id=fields.get("output_file_id") or None,
        error_file_id=fields.get("error_file_id") or None,
        epoch=number("epoch"),
        step=number("step"),
        next_line=int(line),
        next_offset=int(offset),
        ending=Status(fields.get("ending", Status.COMPLETED)),
    )
