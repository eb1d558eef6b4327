"""Records of files: owner, size, expiry. The content is in the blob store."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.errors import FileNotFound, RateLimited
from turnstream.turns.listing import ids_after
from turnstream.turns.lua import Script
from turnstream.turns.redis_calls import RedisCalls

#: What a file's record counts for beside its content.
RECORD_BYTES = 1024
#: After how long a client is told to try again; until then it may delete files.
RETRY_MS = 60_000
#: An upload whose node has not called for this long is over.
LAPSE_SECONDS = 600

_FILE = re.compile(r"file-[0-9a-f]{32}")


def new_file_id() -> str:
    """Return a new file id."""
    return f"file-{secrets.token_hex(16)}"


def result_file_id(batch: str, kind: str) -> str:
    """Return the id of a file of a batch's results; every runner gets the same one."""
    return "file-" + hashlib.sha256(f"{batch} {kind}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that was uploaded, or that a batch has written."""

    id: str
    owner: str
    filename: str
    #: `batch` or `batch_output`.
    purpose: str
    bytes: int
    #: Seconds since 1970, as all times here.
    created_at: int
    expires_at: int

    @property
    def path(self) -> str:
        """Where its content is in the blob store."""
        return f"files/{self.id}"


class Files:
    """The files of all owners; each sees only their own."""

    def __init__(self, client: "redis.asyncio.Redis", calls: RedisCalls) -> None:
        self._redis: Any = client
        self._calls = calls
        self._add = Script(client, "file_add")
        self._reserve = Script(client, "file_reserve")
        self._forget = Script(client, "file_forget")

    async def add(self, file: File, *, most_bytes: int = 0) -> None:
        """Add a file's record; its content must be stored already.

        Args:
            most_bytes: of all files of the owner; 0: no limit.

        Raises:
            RateLimited: the owner's files would have more bytes; nothing was added.
            Overloaded: Redis is away.
        """
        call = partial(
            self._add,
            id=file.id,
            owner=file.owner,
            created_at=file.created_at,
            expires_at=file.expires_at,
            size=file.bytes + RECORD_BYTES,
            most=most_bytes,
            fields=asdict(file),
        )
        if await self._calls.reply_to(file.owner, call) == b"limited":
            raise _too_many_bytes(most_bytes)

    async def reserve(self, id: str, owner: str, size: int, *, most_bytes: int) -> None:
        """Count bytes of an upload that is under way, or change how many.

        They count until `add` or `release`, or for `LAPSE_SECONDS` after the last call.

        Args:
            size: of its content, at most.
            most_bytes: of all files of the owner; 0: no limit.

        Raises:
            RateLimited: the owner's files would have more bytes; nothing has changed.
            Overloaded: Redis is away.
        """
        call = partial(
            self._reserve,
            id=id,
            owner=owner,
            size=size + RECORD_BYTES,
            most=most_bytes,
            lapse_ms=LAPSE_SECONDS * 1000,
        )
        if await self._calls.reply_to(owner, call) == b"limited":
            raise _too_many_bytes(most_bytes)

    async def release(self, id: str, owner: str) -> None:
        """Give back what an upload has reserved that was not added.

        Raises:
            Overloaded: Redis is away.
        """
        await self._calls.reply_to(owner, partial(self._forget, id=id, owner=owner))

    async def get(self, id: str, owner: str) -> File:
        """Return a file.

        Raises:
            FileNotFound: there is no such file for this owner.
            Overloaded: Redis is away.
        """
        file = await self._get(id, owner) if _FILE.fullmatch(id) else None
        if file is None or file.owner != owner:
            raise FileNotFound(id[:80])
        return file

    async def page(
        self, owner: str, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> tuple[list[File], bool]:
        """Return a page of an owner's files, and whether there are more.

        Raises:
            Overloaded: Redis is away.
        """
        found: list[File] = []
        key = keys.files(owner)
        ids = ids_after(self._redis, self._calls, owner, key, after, newest_first=newest_first)
        async for id in ids:
            file = await self._get(id, owner)
            if file is None:
                await self._calls.reply_to(owner, partial(self._redis.zrem, key, id))
            elif purpose in (None, file.purpose):
                found.append(file)
            if len(found) > limit:
                return found[:limit], True
        return found, False

    async def forget(self, file: File) -> None:
        """Delete a file's record; its content is deleted already.

        Raises:
            Overloaded: Redis is away.
        """
        await self.release(file.id, file.owner)

    async def expired(self, now: float) -> Sequence[File]:
        """Return up to 100 expired files.

        Raises:
            Overloaded: Redis is away.
        """
        due: list[File] = []
        found = self._redis.zrange(
            keys.file_expiries(), "-inf", str(now), byscore=True, offset=0, num=100
        )
        for id in cast("list[bytes]", await self._calls.reply(found)):
            # The node's own work: no owner waits for it.
            record = self._redis.hgetall(keys.file(id.decode()))
            file = _read(await self._calls.reply(record))
            if file is None:
                await self._calls.reply(self._redis.zrem(keys.file_expiries(), id))
            else:
                due.append(file)
        return due

    async def _get(self, id: str, owner: str) -> File | None:
        return _read(await self._calls.reply_to(owner, partial(self._redis.hgetall, keys.file(id))))


def _read(found: dict[bytes, bytes]) -> File | None:
    if not found:
        return None
    fields: dict[str, Any] = {name.decode(): value.decode() for name, value in found.items()}
    numbers = ("bytes", "created_at", "expires_at")
    return File(**fields | {name: int(fields[name]) for name in numbers})


def _too_many_bytes(most: int) -> RateLimited:
    return RateLimited("file_bytes", most, RETRY_MS)
