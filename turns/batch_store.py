"""Batches in Redis: what owners call, and what the runner of a batch calls.

A batch has one runner at a time. Taking a batch gives the runner an epoch, and every script that a
runner calls compares it first: a runner that has lost its batch can change nothing any more.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.batch import (
    Batch,
    BatchLost,
    Commit,
    CommittedLines,
    EndedTurn,
    Plan,
    Status,
    Verdict,
    batch_of,
)
from turnstream.turns.errors import BadRequest, BatchNotFound, RateLimited
from turnstream.turns.listing import ids_after
from turnstream.turns.lua import Script
from turnstream.turns.owner_limits import CurrentLimits
from turnstream.turns.redis_calls import RedisCalls, translated_errors
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import limited, submission, today
from turnstream.turns.turn import Turn
from turnstream.turns.wake_up import WakeUp

#: A batch whose runner has not renewed its lease for this long is given to another runner.
LEASE_MS = 5_000
#: Most turns of one call: Redis serves other clients between calls.
MOST_PER_CALL = 16

#: After how long a client with too many batches is told to try again.
RETRY_MS = 60_000

_BATCH = re.compile(r"batch_[0-9a-f]{32}")


class BatchStore:
    """The batches of all owners.

    Every method raises `Overloaded` when Redis is unavailable, and may then be called again; those
    that a runner calls with its batch raise `BatchLost` when another runner has taken it.
    """

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        calls: RedisCalls,
        settings: TurnSettings,
        limits: CurrentLimits,
    ) -> None:
        self._redis, self._calls = client, calls
        self._settings, self._limits = settings, limits
        self._wake_up = WakeUp()
        self._create = Script(client, "batch_create")
        self._cancel = Script(client, "batch_cancel")
        self._take = Script(client, "batch_take")
        self._renew = Script(client, "batch_renew")
        self._advance = Script(client, "batch_step")
        self._commit = Script(client, "batch_commit")
        self._end = Script(client, "batch_end")
        self._submit_turn = Script(client, "submit")
        self._cancel_turn = Script(client, "cancel")

    # What an owner calls; each sees only their own batches.

    async def create(self, owner: str, plan: Plan, key: str | None) -> Batch:
        """Create a batch; with an idempotency key used before, return the batch it created.

        Raises:
            BadRequest: the key was used for another batch.
            RateLimited: the owner has too many batches that have not ended.
        """
        limits = self._limits.of(owner)
        name = secrets.token_hex(32) if key is None else f"{owner} {key}"
        id = "batch_" + hashlib.sha256(name.encode()).hexdigest()[:32]
        asked = (plan.endpoint, plan.input_file_id, plan.completion_window, plan.metadata)
        fingerprint = hashlib.sha256(repr(asked).encode()).hexdigest()
        asks = {
            "now": plan.created_at,
            "fingerprint": fingerprint,
            "limits": limits.numbers,
            "day": today(),
            "payloads": [json.dumps(asdict(plan))],
        }
        call = partial(self._create, id=id, owner=owner, **asks)
        created = await self._calls.reply_to(owner, call)
        if created == b"idempotency_key_reused":
            raise BadRequest(
                "This idempotency key was used for another batch.",
                code="idempotency_key_reused",
                param="idempotency_key",
            )
        if created == b"limited":
            raise RateLimited("batches", limits.batches, RETRY_MS)
        if created not in (b"ok", b"known"):
            raise limited(created.decode(), limits, RETRY_MS)
        return await self.get(id, owner)

    async def get(self, id: str, owner: str) -> Batch:
        """Return a batch.

        Raises:
            BatchNotFound: there is no such batch of this owner.
        """
        batch = await self._get(id, owner) if _BATCH.fullmatch(id) else None
        if batch is None or batch.owner != owner:
            raise BatchNotFound(id[:80])
        return batch

    async def page(self, owner: str, *, after: str | None, limit: int) -> tuple[list[Batch], bool]:
        """Return some of an owner's batches, newest first, and whether there are more."""
        found: list[Batch] = []
        key = keys.batches(owner)
        async for id in ids_after(self._redis, self._calls, owner, key, after):
            batch = await self._get(id, owner)
            if batch is None:
                await self._calls.reply_to(owner, partial(self._redis.zrem, key, id))
            else:
                found.append(batch)
            if len(found) > limit:
                return found[:limit], True
        return found, False

    async def cancel(self, id: str, owner: str) -> Batch:
        """Request that a batch be cancelled; the lines that are answered are kept.

        Raises:
            BatchNotFound: there is no such batch of this owner.
            BadRequest: it has ended, or is being finalized.
        """
        call = partial(self._cancel, id=id, owner=owner, now=int(time.time()))
        status = await self._calls.reply_to(owner, call)
        if status is None:
            raise BatchNotFound(id[:80])
        if status not in (b"cancelling", b"cancelled"):
            raise BadRequest(
                f"Batch '{id}' is {status.decode()} and can't be cancelled any more.",
                code="batch_not_active",
            )
        return await self.get(id, owner)

    # What a runner calls.

    async def take(self) -> Batch | None:
        """Take a batch that has no runner, or whose runner's lease has expired."""
        with translated_errors():
            taken = await self._take(lease_ms=LEASE_MS)
        if not taken:
            return None
        id, record = taken
        return batch_of(id.decode(), dict(zip(record[::2], record[1::2], strict=True)))

    async def renew(self, batch: Batch) -> Status:
        """Renew the lease on a batch, and return the batch's status."""
        with translated_errors():
            renewed = await self._renew(id=batch.id, epoch=batch.epoch, lease_ms=LEASE_MS)
        return Status(_held(renewed).decode())

    async def release(self, batch: Batch) -> None:
        """End the lease on a batch, so that another runner can take it at once."""
        with translated_errors():
            await self._renew(id=batch.id, epoch=batch.epoch, lease_ms=0)

    async def advance(self, batch: Batch, at: Status, to: Status, **fields: str | int) -> Status:
        """Change a batch's status if it is still `at`; return the status it has then."""
        call = {"id": batch.id, "epoch": batch.epoch, "from": at, "to": to, "fields": fields}
        with translated_errors():
            return Status(_held(await self._advance(**call)).decode())

    async def submit_lines(self, batch: Batch, turns: Sequence[Turn]) -> list[Verdict]:
        """Submit at most `MOST_PER_CALL` lines' turns; submitted again, a turn is the same turn."""
        calls = [
            submission(turn, self._settings, self._limits.of(turn.owner), self._wake_up, node="")
            for turn in turns
        ]
        answers = await self._many(self._submit_turn, calls)
        if any(answer[0] == b"batch_lost" for answer in answers):
            raise BatchLost(batch.id)
        return [Verdict.of_submit(answer) for answer in answers]

    async def cancel_lines(self, batch: Batch, ids: Sequence[str]) -> list[Verdict]:
        """Cancel at most `MOST_PER_CALL` lines' turns, queued or running."""
        kept = self._settings.retention
        calls = [{"id": id, "owner": batch.owner, **kept} for id in ids]
        return [Verdict.of_cancel(answer) for answer in await self._many(self._cancel_turn, calls)]

    async def ended_ids(self, batch: Batch, start: int) -> list[str]:
        """Return ids of the batch's turns that have ended, from index `start` of the list on."""
        with translated_errors():
            key = keys.batch_ended(batch.id)
            ids = await cast(Any, self._redis.lrange(key, start, start + MOST_PER_CALL - 1))
        return [id.decode() for id in ids]

    async def ended_turns(self, ids: Sequence[str]) -> list[EndedTurn | None]:
        """Return the ends of turns; None for a turn that was deleted since."""
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hmget(keys.turn(id), ["status", "error", "response"])
                records = await pipe.execute()
                failed = [id for id, one in zip(ids, records, strict=True) if one[0] == b"failed"]
                for id in failed:
                    pipe.xrevrange(keys.log(id), count=1)
                last = dict(zip(failed, await pipe.execute() if failed else [], strict=True))
        return [_ended(id, record, last.get(id)) for id, record in zip(ids, records, strict=True)]

    async def committed_lines(self, batch: Batch) -> CommittedLines:
        """Return which lines are committed."""
        first = batch.next_line // 8
        with translated_errors():
            bits = await cast(Any, self._redis.getrange(keys.batch_commits(batch.id), first, -1))
        return CommittedLines(first, bits)

    async def commit(self, batch: Batch, step: int, commit: Commit) -> None:
        """Commit lines to the output and delete their turns; `step` numbers commits from 1."""
        with translated_errors():
            committed = await self._commit(
                id=batch.id,
                epoch=batch.epoch,
                step=step,
                completed=commit.completed,
                failed=commit.failed,
                input_tokens=commit.input_tokens,
                cached_tokens=commit.cached_tokens,
                output_tokens=commit.output_tokens,
                read=commit.read,
                place=f"{commit.next_line} {commit.next_offset}",
                parts=list(commit.parts),
                lines=list(commit.lines),
            )
        _held(committed)

    async def parts(self, batch: Batch) -> list[str]:
        """Return the names of the committed parts, in order."""
        with translated_errors():
            names = await cast(Any, self._redis.lrange(keys.batch_parts(batch.id), 0, -1))
        return [name.decode() for name in names]

    async def end(
        self, batch: Batch, status: Status, kept_seconds: int, **fields: str | int
    ) -> None:
        """Set a batch's final status, and delete the keys that only its runner needed."""
        with translated_errors():
            ids = {"id": batch.id, "epoch": batch.epoch}
            ended = await self._end(**ids, status=status, kept_seconds=kept_seconds, fields=fields)
        _held(ended)

    async def count_failure(self, batch: Batch) -> int:
        """Count a runner of the batch that failed; return how many did."""
        with translated_errors():
            return int(await cast(Any, self._redis.hincrby(keys.batch(batch.id), "failures", 1)))

    async def _get(self, id: str, owner: str) -> Batch | None:
        call = partial(self._redis.hgetall, keys.batch(id))
        found = await self._calls.reply_to(owner, cast(Any, call))
        return batch_of(id, found) if found else None

    async def _many(self, script: Script, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for call in calls:
                    await script(**call, pipe=pipe)
                return await pipe.execute()


def _held(answer: Any) -> Any:
    if answer is None:
        raise BatchLost
    return answer


def _ended(id: str, record: Sequence[bytes | None], log: Any) -> EndedTurn | None:
    match record:
        case [bytes(status), error, bytes(response)]:
            return EndedTurn(
                id=id,
                status=status.decode(),
                error=(error or b"null").decode(),
                response=response.decode(),
                # By position: releases before version 2 called the field `e`.
                last=next(iter(log[0][1].values())) if log else None,
            )
        case _:
            return None
