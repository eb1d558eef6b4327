"""Keys that were made at run time, and client tokens: short-lived keys for browsers and phones.

Only the SHA-256 of a key is stored, so its text is shown once, when it is made. A client token is
bound to the key that it was made with: without that key it is worth nothing.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import redis.asyncio

from turnstream.turns import keys
from turnstream.turns.api_key import ApiKey
from turnstream.turns.errors import NewerVersion, RateLimited
from turnstream.turns.limits import tiers_of
from turnstream.turns.lua import Script
from turnstream.turns.record import VERSION
from turnstream.turns.redis_calls import RedisCalls

#: What the texts of keys and client tokens begin with.
KEY_PREFIX, TOKEN_PREFIX = "ts-", "ts-client-"


def digest_of(text: str) -> str:
    """Return the digest under which a key is known."""
    return hashlib.sha256(text.encode()).hexdigest()


class ApiKeys:
    """The keys that are stored in Redis."""

    def __init__(self, client: "redis.asyncio.Redis", calls: RedisCalls) -> None:
        self._redis: Any = client
        self._calls = calls
        self._create = Script(client, "api_key_create")

    async def create(self, owner: str, **settings: Any) -> tuple[str, ApiKey]:
        """Make a key of an owner; return its text, which is not stored, and what it stands for.

        Args:
            settings: `name`, `expires_at`, `tiers` and `requests_per_minute` of `ApiKey`.

        Raises:
            Overloaded: Redis is away.
        """
        id = f"key_{secrets.token_hex(8)}"
        key = ApiKey(id=id, owner=owner, created_at=int(time.time()), **settings)
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        await self._store(text, key, id=id)
        return text, key

    async def create_token(
        self, parent: ApiKey | None, per_minute: int, **settings: Any
    ) -> tuple[str, ApiKey]:
        """Make a client token; return its text and what it stands for.

        Args:
            parent: what the key of the request stands for; None: it is one of the settings.
            per_minute: how many the owner may make; 0 is no limit.
            settings: `owner`, `expires_at`, `made_with`, `conversation`, `response` and
                `follows` of `ApiKey`.

        Raises:
            RateLimited: the owner has made too many.
            Overloaded: Redis is away.
        """
        # It may do no more than the key that made it, and counts as that.
        token = ApiKey(
            id="" if parent is None else parent.id,
            tiers=None if parent is None else parent.tiers,
            requests_per_minute=0 if parent is None else parent.requests_per_minute,
            created_at=int(time.time()),
            is_token=True,
            **settings,
        )
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        wait_ms = await self._store(text, token, per_minute=per_minute or None)
        if wait_ms != b"ok":
            raise RateLimited("client_tokens_per_minute", per_minute, wait_ms)
        return text, token

    async def find(self, digests: Sequence[str]) -> list[ApiKey | None]:
        """Return what each digest stands for; None: nothing, or it has expired or was revoked.

        Raises:
            NewerVersion: a newer release wrote one of them.
            Overloaded: Redis is away.
        """
        pipe = self._redis.pipeline(transaction=False)
        for digest in digests:
            pipe.hgetall(keys.api_key(digest))
        return [_read(record) for record in await self._calls.reply(pipe.execute())]

    async def note_use(self, id: str) -> None:
        """Note that a key is used now.

        Raises:
            Overloaded: Redis is away.
        """
        await self._calls.reply(self._redis.hset(keys.api_key_uses(), id, int(time.time())))

    async def all(self) -> list[ApiKey]:
        """Return all keys, oldest first, without client tokens; forget those that have expired.

        Raises:
            Overloaded: Redis is away.
        """
        listed = await self._calls.reply(self._redis.hgetall(keys.api_keys()))
        uses = await self._calls.reply(self._redis.hgetall(keys.api_key_uses()))
        found = await self.find([digest.decode() for digest in listed.values()])
        for id, key in zip(listed, found, strict=True):
            if key is None:
                await self.revoke(id.decode())
        used = {id.decode(): int(when) for id, when in uses.items()}
        known = [replace(key, last_used=used.get(key.id)) for key in found if key is not None]
        return sorted(known, key=lambda key: (key.created_at, key.id))

    async def revoke(self, id: str) -> bool:
        """Revoke a key, and with it its client tokens; return whether there was one.

        Raises:
            Overloaded: Redis is away.
        """
        digest = await self._calls.reply(self._redis.hget(keys.api_keys(), id))
        if digest is None:
            return False
        pipe = self._redis.pipeline(transaction=True)
        pipe.delete(keys.api_key(digest.decode()))
        pipe.hdel(keys.api_keys(), id)
        pipe.hdel(keys.api_key_uses(), id)
        await self._calls.reply(pipe.execute())
        return True

    async def _store(
        self, text: str, key: ApiKey, *, id: str | None = None, per_minute: int | None = None
    ) -> Any:
        fields = {
            "id": key.id,
            "owner": key.owner,
            "created_at": key.created_at,
            "name": key.name,
            "expires_at": key.expires_at,
            "tiers": None if key.tiers is None else "+".join(sorted(key.tiers)),
            "requests_per_minute": key.requests_per_minute or None,
            "is_token": "1" if key.is_token else None,
            "made_with": key.made_with,
            "conversation": key.conversation,
            "response": key.response,
            "follows": "1" if key.follows else None,
        }
        written = {name: str(value) for name, value in fields.items() if value not in (None, "")}
        call = partial(
            self._create,
            digest=digest_of(text),
            owner=key.owner,
            fields=[each for field in written.items() for each in field],
            id=id,
            expires_at=key.expires_at,
            per_minute=per_minute,
        )
        return await self._calls.reply_to(key.owner, call)


def _read(record: dict[bytes, bytes]) -> ApiKey | None:
    if not record:
        return None
    fields = {name.decode(): value.decode() for name, value in record.items()}
    if int(fields["version"]) > VERSION:
        raise NewerVersion(fields.get("id", "an API key"))
    expires_at = int(fields["expires_at"]) if "expires_at" in fields else None
    if expires_at is not None and expires_at <= time.time():
        return None
    return ApiKey(
        id=fields.get("id", ""),
        owner=fields["owner"],
        created_at=int(fields["created_at"]),
        name=fields.get("name", ""),
        expires_at=expires_at,
        tiers=tiers_of(fields["tiers"]) if "tiers" in fields else None,
        requests_per_minute=int(fields.get("requests_per_minute", 0)),
        is_token="is_token" in fields,
        made_with=fields.get("made_with", ""),
        conversation=fields.get("conversation"),
        response=fields.get("response"),
        follows="follows" in fields,
    )
