"""Webhook endpoints of owners: where to tell them that a response or a batch has ended.

Secrets are stored as they are: a signature needs them. What waits to be delivered is in
`turns.webhook_outbox`.
"""

import base64
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import redis.asyncio

from turnstream.turns import webhook_keys
from turnstream.turns.errors import BadRequest, NewerVersion
from turnstream.turns.listing import ids_after
from turnstream.turns.lua import Script
from turnstream.turns.record import VERSION
from turnstream.turns.redis_calls import RedisCalls

#: Endpoints that an owner may have.
MOST_ENDPOINTS = 8
#: How long a secret that was replaced is used further, if its owner wishes that.
ROTATION_SECONDS = 24 * 3600
#: Secrets in use at a time; a further rotation ends the oldest.
MOST_SECRETS = 4

_DROPPED = "dropped:"
_SECRETS: msgspec.json.Decoder[list[tuple[str, int]]] = msgspec.json.Decoder(list[tuple[str, int]])
_TYPES: msgspec.json.Decoder[tuple[str, ...]] = msgspec.json.Decoder(tuple[str, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A webhook endpoint. Times are seconds since 1970."""

    id: str
    owner: str
    name: str
    url: str
    event_types: tuple[str, ...]
    #: Each with the time until when it is used, 0 for the newest, which comes first.
    secrets: tuple[tuple[str, int], ...]
    created_at: int
    updated_at: int
    #: Whether the last attempt failed.
    failing: bool = False
    #: How many deliveries were given up because too many waited, by event type.
    dropped: Mapping[str, int]

    @property
    def secret(self) -> str:
        """The newest secret."""
        return self.secrets[0][0]

    @property
    def secret_hint(self) -> str:
        """What tells the newest secret from others without giving it away."""
        return f"whsec_…{self.secret[-4:]}"

    @property
    def secrets_in_use(self) -> tuple[str, ...]:
        """The newest secret, and those it replaced that are used further."""
        return usable(self.secrets)


def usable(secrets: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return the secrets that deliveries are signed with now."""
    now = time.time()
    return tuple(secret for secret, until in secrets if not until or until > now)


def usable_of(text: bytes) -> tuple[str, ...]:
    """Return the same from a record's JSON."""
    return usable(_SECRETS.decode(text))


def new_secret() -> str:
    """Return a new signing secret, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Webhooks:
    """The endpoints of all owners. Every method raises `Overloaded` when Redis is unavailable."""

    def __init__(self, client: "redis.asyncio.Redis", calls: RedisCalls) -> None:
        self._redis: Any = client
        self._calls = calls
        self._write = Script(client, "webhook_endpoint")
        self._delete = Script(client, "webhook_delete")

    async def create(
        self, owner: str, *, name: str, url: str, event_types: Sequence[str]
    ) -> Endpoint:
        """Make an endpoint with a secret of its own.

        Raises:
            BadRequest: the owner has as many as it may have.
        """
        now = time.time()
        made = Endpoint(
            id=f"we_{secrets.token_hex(16)}",
            owner=owner,
            name=name,
            url=url,
            event_types=tuple(dict.fromkeys(event_types)),
            secrets=((new_secret(), 0),),
            created_at=int(now),
            updated_at=int(now),
            dropped={},
        )
        fields: dict[str, str | int | None] = {
            "name": name,
            "url": url,
            "event_types": _json(made.event_types),
            "secrets": _json(made.secrets),
            "created_at": made.created_at,
        }
        if await self._store(made, fields, created_ms=int(now * 1000)) == b"too_many":
            raise BadRequest(
                f"An owner may have {MOST_ENDPOINTS} webhook endpoints.",
                code="too_many_webhook_endpoints",
            )
        return made

    async def get(self, id: str, owner: str | None = None) -> Endpoint | None:
        """Return an endpoint; None: there is none, or it is not this owner's.

        Raises:
            NewerVersion: a newer release wrote it.
        """
        read = partial(self._redis.hgetall, webhook_keys.webhook_endpoint(id))
        reply = self._calls.reply(read()) if owner is None else self._calls.reply_to(owner, read)
        found = _read(id, await reply)
        return None if found is None or owner not in (None, found.owner) else found

    async def page(
        self, owner: str, *, after: str | None, limit: int
    ) -> tuple[list[Endpoint], bool]:
        """Return some of an owner's endpoints, newest first, and whether there are more."""
        found: list[Endpoint] = []
        key = webhook_keys.webhook_endpoints(owner)
        async for id in ids_after(self._redis, self._calls, owner, key, after):
            endpoint = await self.get(id, owner)
            if endpoint is not None:
                found.append(endpoint)
            if len(found) > limit:
                return found[:limit], True
        return found, False

    async def update(
        self,
        endpoint: Endpoint,
        *,
        name: str | None = None,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
    ) -> Endpoint | None:
        """Change what is not None, and return the endpoint; None: it was deleted meanwhile."""
        changed = replace(
            endpoint,
            name=endpoint.name if name is None else name,
            url=endpoint.url if url is None else url,
            event_types=(
                endpoint.event_types if event_types is None else tuple(dict.fromkeys(event_types))
            ),
        )
        if changed == endpoint:
            return endpoint
        changed = replace(changed, updated_at=int(time.time()))
        fields: dict[str, str | int | None] = {
            "name": name,
            "url": url,
            "event_types": None if event_types is None else _json(changed.event_types),
        }
        return changed if await self._store(changed, fields) == b"ok" else None

    async def rotate(self, endpoint: Endpoint, *, keep_old: bool) -> Endpoint | None:
        """Give an endpoint a new secret and return it; None: it was changed or deleted meanwhile.

        Args:
            keep_old: deliveries are signed with the old secret too, for a day.
        """
        now = int(time.time())
        kept = [
            (secret, until or now + ROTATION_SECONDS)
            for secret, until in endpoint.secrets
            if keep_old and (not until or until > now)
        ]
        rotated = replace(
            endpoint,
            secrets=((new_secret(), 0), *kept[: MOST_SECRETS - 1]),
            updated_at=now,
        )
        fields = {"secrets": _json(rotated.secrets)}
        stored = await self._store(rotated, fields, expected=_json(endpoint.secrets))
        return rotated if stored == b"ok" else None

    async def delete(self, id: str, owner: str) -> bool:
        """Delete an endpoint and all that waits for it; return whether there was one."""
        call = partial(self._delete, id=id, owner=owner)
        return bool(await self._calls.reply_to(owner, call) == b"ok")

    async def _store(
        self,
        endpoint: Endpoint,
        fields: Mapping[str, str | int | None],
        *,
        created_ms: int | None = None,
        expected: str | None = None,
    ) -> bytes:
        written = {name: value for name, value in fields.items() if value is not None}
        written["updated_at"] = endpoint.updated_at
        call = partial(
            self._write,
            id=endpoint.id,
            owner=endpoint.owner,
            created_ms=created_ms,
            most=MOST_ENDPOINTS,
            expected=expected,
            fields=[str(each) for field in written.items() for each in field],
            subscription=(
                f" {' '.join(endpoint.event_types)} " if "event_types" in written else None
            ),
        )
        stored: bytes = await self._calls.reply_to(endpoint.owner, call)
        if stored == b"newer_version":
            raise NewerVersion(endpoint.id)
        return stored


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _read(id: str, record: Mapping[bytes, bytes]) -> Endpoint | None:
    if b"owner" not in record:
        return None
    fields = {name.decode(): value.decode() for name, value in record.items()}
    if int(fields["version"]) > VERSION:
        raise NewerVersion(id)
    return Endpoint(
        id=id,
        owner=fields["owner"],
        name=fields["name"],
        url=fields["url"],
        event_types=_TYPES.decode(fields["event_types"]),
        secrets=tuple(_SECRETS.decode(fields["secrets"])),
        created_at=int(fields["created_at"]),
        updated_at=int(fields["updated_at"]),
        failing="failing" in fields,
        dropped={
            name.removeprefix(_DROPPED): int(value)
            for name, value in fields.items()
            if name.startswith(_DROPPED)
        },
    )
