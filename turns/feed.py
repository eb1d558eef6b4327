"""A feeder's door to a batch: take it, hand its lines in as turns, hear of their ends, mark them.

A batch has one feeder at a time. Each has an epoch, and every script compares it first: a feeder
that lost its batch, and wakes up late, changes nothing any more.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.batches import Batch, Status, batch_of
from turnstream.turns.lua import Script
from turnstream.turns.redis_calls import reached
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import submission
from turnstream.turns.turn import Turn
from turnstream.turns.wake_up import WakeUp

#: A batch whose feeder was not heard of for so long is given to another.
LEASE_MS = 5_000
#: Turns handed in, or asked after, in one call: Redis has time for others in between.
AT_ONCE = 16


class BatchLost(Exception):
    """The batch has another feeder by now."""


class Verdict(Enum):
    """How a turn stands that was handed in, or told to stop."""

    #: It waits or runs, or has just been stopped: its end will be on the batch's list.
    TAKEN = auto()
    #: It had ended before.
    ENDED = auto()
    #: There is no such turn.
    ABSENT = auto()
    #: There is no room for it now.
    LATER = auto()
    NO_PARENT = auto()
    PARENT_RUNNING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A turn that has ended."""

    id: str
    status: str
    #: JSON, as the record keeps them.
    error: str
    rest: str
    #: Its last event, if it failed and that is still kept.
    last: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a part of the output adds to its batch."""

    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    #: Number of the first line that may not be marked afterwards, and where it begins.
    next_line: int
    next_offset: int
    #: Ended turns, from the head of the batch's list, that this and earlier parts have dealt with.
    read: int
    #: Names of what was written: nothing, one file or two.
    parts: Sequence[str]
    #: For each line its number and its turn, '' if none was made of it.
    lines: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Marks:
    """Which lines are in the output, from some line on."""

    first_byte: int
    bits: bytes

    def __contains__(self, number: int) -> bool:
        byte = number // 8 - self.first_byte
        return 0 <= byte < len(self.bits) and bool(self.bits[byte] & (0x80 >> number % 8))


def turn_id(batch: str, number: int) -> str:
    """Name the turn of a line: batch and number are its idempotency key."""
    return "resp_" + hashlib.sha256(f"{batch} {number}".encode()).hexdigest()[:32]


class Feed:
    """A node's door to all batches that it feeds; every method raises `Overloaded` when Redis is
    away, and may then be called again, and those with a batch `BatchLost`."""

    def __init__(self, client: "redis.asyncio.Redis", settings: TurnSettings) -> None:
        self._redis = client
        self._settings = settings
        self._wake_up = WakeUp()
        self._take = Script(client, "batch_take")
        self._renew = Script(client, "batch_renew")
        self._step = Script(client, "batch_step")
        self._mark = Script(client, "batch_commit")
        self._end = Script(client, "batch_end")
        self._submit = Script(client, "submit")
        self._cancel = Script(client, "cancel")

    async def take(self) -> Batch | None:
        """Take a batch that nobody feeds."""
        with reached():
            taken = await self._take(lease_ms=LEASE_MS)
        if not taken:
            return None
        id, record = taken
        return batch_of(id.decode(), dict(zip(record[::2], record[1::2], strict=True)))

    async def renew(self, batch: Batch) -> Status:
        """Keep a batch, and hear how it stands."""
        with reached():
            renewed = await self._renew(id=batch.id, epoch=batch.epoch, lease_ms=LEASE_MS)
        return Status(_held(renewed).decode())

    async def let_go(self, batch: Batch) -> None:
        """Let another node have a batch at once."""
        with reached():
            await self._renew(id=batch.id, epoch=batch.epoch, lease_ms=0)

    async def step(self, batch: Batch, at: Status, to: Status, **fields: str | int) -> Status:
        """Move a batch on if it stands where we believe; gives where it stands then."""
        call = {"id": batch.id, "epoch": batch.epoch, "from": at, "to": to, "fields": fields}
        with reached():
            return Status(_held(await self._step(**call)).decode())

    async def end(
        self, batch: Batch, status: Status, kept_seconds: int, **fields: str | int
    ) -> None:
        """End a batch."""
        with reached():
            ended = await self._end(
                id=batch.id,
                epoch=batch.epoch,
                status=status,
                kept_seconds=kept_seconds,
                fields=fields,
            )
        _held(ended)

    async def submit(self, batch: Batch, turns: Sequence[Turn]) -> list[Verdict]:
        """Hand lines in; one that was handed in before is the same turn. At most `AT_ONCE`."""
        calls = [submission(turn, self._settings, self._wake_up, node="") for turn in turns]
        answers = await self._many(self._submit, calls)
        if any(answer[0] == b"batch_lost" for answer in answers):
            raise BatchLost(batch.id)
        return [_submitted(answer) for answer in answers]

    async def cancel(self, batch: Batch, ids: Sequence[str]) -> list[Verdict]:
        """Stop turns wherever they are. At most `AT_ONCE`."""
        kept = self._settings.retention
        calls = [{"id": id, "owner": batch.owner, **kept} for id in ids]
        return [_stopped(answer) for answer in await self._many(self._cancel, calls)]

    async def ended(self, batch: Batch, start: int) -> list[str]:
        """Give turns on the batch's list of those that have ended, from a place on."""
        with reached():
            key = keys.batch_ended(batch.id)
            ids = await cast(Any, self._redis.lrange(key, start, start + AT_ONCE - 1))
        return [id.decode() for id in ids]

    async def ends(self, ids: Sequence[str]) -> list[Ended | None]:
        """Read how turns ended; None for one that was deleted since."""
        with reached():
            async with self._redis.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hmget(keys.turn(id), ["status", "error", "response"])
                records = await pipe.execute()
                failed = [id for id, record in zip(ids, records, strict=True) if _failed(record)]
                for id in failed:
                    pipe.xrevrange(keys.log(id), count=1)
                last = dict(zip(failed, await pipe.execute() if failed else [], strict=True))
        return [_ended(id, record, last.get(id)) for id, record in zip(ids, records, strict=True)]

    async def marks(self, batch: Batch) -> Marks:
        """Say which lines are in the output already."""
        first = batch.next_line // 8
        with reached():
            bits = await cast(Any, self._redis.getrange(keys.batch_commits(batch.id), first, -1))
        return Marks(first, bits)

    async def mark(self, batch: Batch, step: int, mark: Mark) -> None:
        """Note that lines are in the output; `step` counts the marks of a batch from 1."""
        with reached():
            committed = await self._mark(
                id=batch.id,
                epoch=batch.epoch,
                step=step,
                completed=mark.completed,
                failed=mark.failed,
                input_tokens=mark.input_tokens,
                cached_tokens=mark.cached_tokens,
                output_tokens=mark.output_tokens,
                read=mark.read,
                place=f"{mark.next_line} {mark.next_offset}",
                parts=list(mark.parts),
                lines=list(mark.lines),
            )
        _held(committed)

    async def parts(self, batch: Batch) -> list[str]:
        """Give the names of all parts that count, in order."""
        with reached():
            names = await cast(Any, self._redis.lrange(keys.batch_parts(batch.id), 0, -1))
        return [name.decode() for name in names]

    async def _many(self, script: Script, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
        with reached():
            async with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    await script(**call, pipe=pipe)
                return await pipe.execute()


def _submitted(answer: Sequence[bytes]) -> Verdict:
    match answer:
        case [b"ok", b"queued" | b"in_progress"]:
            return Verdict.TAKEN
        case [b"ok", _]:
            return Verdict.ENDED
        # Nothing asked: what it goes on from would have had to leave a question open.
        case [b"previous_response_not_found"] | [b"no_question"]:
            return Verdict.NO_PARENT
        case [b"previous_response_running"]:
            return Verdict.PARENT_RUNNING
        case _:
            return Verdict.LATER


def _stopped(answer: bytes) -> Verdict:
    match answer:
        case b"ok":
            return Verdict.TAKEN
        case b"response_not_active":
            return Verdict.ENDED
        case _:
            return Verdict.ABSENT


def _held(answer: Any) -> Any:
    if answer is None:
        raise BatchLost
    return answer


def _failed(record: Sequence[bytes | None]) -> bool:
    return record[0] == b"failed"


def _ended(id: str, record: Sequence[bytes | None], log: Any) -> Ended | None:
    match record:
        case [bytes(status), error, bytes(rest)]:
            return Ended(
                id=id,
                status=status.decode(),
                error=(error or b"null").decode(),
                rest=rest.decode(),
                # By position: releases before version 2 called the field `e`.
                last=next(iter(log[0][1].values())) if log else None,
            )
        case _:
            return None
