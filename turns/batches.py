"""Batches: files of requests that are answered when nobody else waits. The wire calls them batches.

This is an owner's door to them; `turns.feed` is the door of whoever feeds their lines in.
"""

import hashlib
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import BadRequest, BatchNotFound, NewerVersion
from turnstream.turns.listing import ids_after
from turnstream.turns.lua import Script
from turnstream.turns.record import VERSION
from turnstream.turns.redis_calls import reached
from turnstream.turns.shapes import Problem

_BATCH = re.compile(r"batch_[0-9a-f]{32}")


class Status(StrEnum):
    """How a batch stands."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


#: Statuses whose moment is kept, and under which name.
MOMENTS = tuple(f"{status}_at" for status in Status if status is not Status.VALIDATING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a batch was made with."""

    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: dict[str, str] | None
    #: Seconds since 1970, as all times here.
    created_at: int
    expires_at: int
    #: How long the files of its results are kept.
    output_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as it stands now."""

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
    #: When it came to each of `MOMENTS`, if it did.
    moments: dict[str, int]
    #: What was wrong with its file.
    problems: list[Problem] | None
    output_file_id: str | None
    error_file_id: str | None
    #: Which feeder's it is.
    epoch: int
    #: Parts of its output that are written and marked.
    step: int
    #: Number of the first line that may not be marked yet, and where in the file it begins.
    next_line: int
    next_offset: int
    #: What it ends as; known from `finalizing` on.
    ending: Status


class Batches:
    """The batches of all owners; each sees only their own."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._redis = client
        self._create = Script(client, "batch_create")
        self._cancel = Script(client, "batch_cancel")

    async def create(self, owner: str, plan: Plan, key: str | None) -> Batch:
        """Make a batch; with a key that was used before, give the batch that it made.

        Raises:
            BadRequest: the key was used for another batch.
            Overloaded: Redis is away.
        """
        name = secrets.token_hex(32) if key is None else f"{owner} {key}"
        id = "batch_" + hashlib.sha256(name.encode()).hexdigest()[:32]
        asked = (plan.endpoint, plan.input_file_id, plan.completion_window, plan.metadata)
        fingerprint = hashlib.sha256(repr(asked).encode()).hexdigest()
        with reached():
            made = await self._create(
                id=id,
                owner=owner,
                now=plan.created_at,
                fingerprint=fingerprint,
                payloads=[json.dumps(asdict(plan))],
            )
        if made == b"idempotency_key_reused":
            raise BadRequest(
                "This idempotency key was used for another batch.",
                code="idempotency_key_reused",
                param="idempotency_key",
            )
        return await self.get(id, owner)

    async def get(self, id: str, owner: str) -> Batch:
        """Look a batch up.

        Raises:
            BatchNotFound: there is no such batch for this owner.
            Overloaded: Redis is away.
        """
        batch = await self._get(id) if _BATCH.fullmatch(id) else None
        if batch is None or batch.owner != owner:
            raise BatchNotFound(id[:80])
        return batch

    async def page(self, owner: str, *, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """Give some of an owner's batches, newest first, and whether there are more.

        Raises:
            Overloaded: Redis is away.
        """
        found: list[Batch] = []
        with reached():
            async for id in ids_after(self._redis, keys.batches(owner), after):
                batch = await self._get(id)
                if batch is None:
                    await self._redis.zrem(keys.batches(owner), id)
                else:
                    found.append(batch)
                if len(found) > limit:
                    return found[:limit], True
        return found, False

    async def cancel(self, id: str, owner: str) -> Batch:
        """Ask for a batch's end; what is finished is kept.

        Raises:
            BatchNotFound: there is no such batch for this owner.
            BadRequest: it has ended, or is about to.
            Overloaded: Redis is away.
        """
        with reached():
            status = await self._cancel(id=id, owner=owner, now=int(time.time()))
        if status is None:
            raise BatchNotFound(id[:80])
        if status not in (b"cancelling", b"cancelled"):
            raise BadRequest(
                f"Batch '{id}' is {status.decode()} and can't be cancelled any more.",
                code="batch_not_active",
            )
        return await self.get(id, owner)

    async def _get(self, id: str) -> Batch | None:
        with reached():
            found = await cast(Any, self._redis.hgetall(keys.batch(id)))
        return batch_of(id, found) if found else None


def batch_of(id: str, record: "dict[bytes, bytes]") -> Batch:
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
        problems=json.loads(fields["problems"]) if "problems" in fields else None,
        output_file_id=fields.get("output_file_id") or None,
        error_file_id=fields.get("error_file_id") or None,
        epoch=number("epoch"),
        step=number("step"),
        next_line=int(line),
        next_offset=int(offset),
        ending=Status(fields.get("ending", Status.COMPLETED)),
    )
