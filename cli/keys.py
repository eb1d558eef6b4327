"""`turnstream keys`: make, list and revoke API keys while the service runs, and set owners' limits.

Only the digest of a key is stored, so `create` prints the key and nothing prints it again.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from turnstream.cli.console import BAD_SETTING
from turnstream.cli.service_redis import redis_of_service
from turnstream.turns.api_key import ApiKey
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.connection import connect_async
from turnstream.turns.errors import TurnError
from turnstream.turns.limits import tiers_of
from turnstream.turns.owner_limits import StoredLimits
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import KEY_PREFIX

_OWNER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TIME = re.compile(r"(\d{1,6})([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadOption(ValueError):
    """An option can't be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    action: str
    json: bool = False
    owner: str | None = None
    name: str = ""
    tiers: str | None = None
    requests_per_minute: int = 0
    expires: str | None = None
    id: str = ""
    limits: tuple[str, ...] = ()
    clear: bool = False


def run(options: Options) -> int:
    """Run one action and return the exit code."""
    url = redis_of_service(os.environ)
    try:
        return asyncio.run(_run(url, options))
    except BadOption as exc:
        print(f"turnstream keys {options.action}: {exc}", file=sys.stderr)
        return BAD_SETTING
    except TurnError as exc:
        print(f"turnstream keys {options.action}: {exc}", file=sys.stderr)
        return 1


async def _run(url: str, options: Options) -> int:
    client = connect_async(url, key_prefix=KEY_PREFIX.read(os.environ))
    try:
        calls = RedisCalls(ProblemLog(url))
        keys, limits = ApiKeys(client, calls), StoredLimits(client, calls)
        actions: dict[str, Callable[[], Awaitable[int]]] = {
            "create": lambda: _create(keys, options),
            "list": lambda: _list(keys, options),
            "revoke": lambda: _revoke(keys, options),
            "limits": lambda: _limits(limits, options),
        }
        return await actions[options.action]()
    finally:
        await client.aclose()


async def _create(keys: ApiKeys, options: Options) -> int:
    owner = checked_owner(options.owner or "")
    try:
        tiers = None if options.tiers is None else tiers_of(options.tiers)
    except ValueError as exc:
        raise BadOption(f"--tiers: {exc}") from exc
    text, key = await keys.create(
        owner,
        name=options.name,
        tiers=tiers,
        requests_per_minute=options.requests_per_minute,
        expires_at=_expiry(options.expires),
    )
    if options.json:
        print(json.dumps({"key": text, **_facts(key)}))
    else:
        print(text)
        print(f"{key.id} of {owner}: shown only now, keep it safe", file=sys.stderr)
    return 0


async def _list(keys: ApiKeys, options: Options) -> int:
    found = [key for key in await keys.all() if options.owner in (None, key.owner)]
    if options.json:
        print(json.dumps([_facts(key) for key in found]))
        return 0
    rows = [("id", "owner", "created", "last used", "expires", "tiers", "a minute", "name")]
    rows += [
        (
            key.id,
            key.owner,
            _moment(key.created_at),
            _moment(key.last_used, "never"),
            _moment(key.expires_at, "never"),
            "all" if key.tiers is None else "+".join(sorted(key.tiers)),
            str(key.requests_per_minute or "-"),
            key.name,
        )
        for key in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


async def _revoke(keys: ApiKeys, options: Options) -> int:
    if await keys.revoke(options.id):
        return 0
    raise BadOption(f"there is no key {options.id!r}; `turnstream keys list` shows them")


async def _limits(limits: StoredLimits, options: Options) -> int:
    if options.owner is not None and (options.limits or options.clear):
        try:
            await limits.set(
                checked_owner(options.owner or ""),
                "" if options.clear else " ".join(options.limits),
            )
        except ValueError as exc:
            raise BadOption(str(exc)) from exc
    found = await limits.all()
    if options.owner is not None:
        found = {name: text for name, text in found.items() if name == options.owner}
    if options.json:
        print(json.dumps(found))
    else:
        for owner, text in sorted(found.items()):
            print(f"{owner}  {text}")
    return 0


def checked_owner(owner: str) -> str:
    """Return an owner's name.

    Raises:
        BadOption: it is none.
    """
    if not _OWNER.fullmatch(owner):
        raise BadOption(f"an owner is 1 to 64 letters, digits, '_', '.' or '-', not {owner!r}")
    return owner


def _expiry(text: str | None) -> int | None:
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is None or not int(match[1]):
        raise BadOption(f"--expires is a time such as 12h or 30d, not {text!r}")
    return int(time.time()) + int(match[1]) * _UNIT_SECONDS[match[2]]


def _moment(seconds: int | None, absent: str = "") -> str:
    if seconds is None:
        return absent
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "created_at": key.created_at,
        "last_used_at": key.last_used,
        "expires_at": key.expires_at,
        "tiers": None if key.tiers is None else sorted(key.tiers),
        "requests_per_minute": key.requests_per_minute or None,
    }
