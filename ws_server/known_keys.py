"""What the keys that clients send stand for: those of the settings, and those made at run time.

The second are looked up in Redis and remembered for half a second, so that a new or a revoked key
is in force on every node within a second.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from turnstream.turns.api_key import ApiKey
from turnstream.turns.errors import TurnError

log = logging.getLogger(__name__)

#: How long what is known of a key is used without asking again.
FRESH_SECONDS = 0.5
#: How often the use of a key is noted, at most.
NOTED_SECONDS = 60.0
#: Keys that are remembered; the longest unused go first.
REMEMBERED = 10_000


class StoredKeys(Protocol):
    """The keys that are stored in Redis."""

    async def find(self, digests: list[str]) -> list[ApiKey | None]: ...

    async def note_use(self, id: str) -> None: ...


@dataclass(slots=True)
class _Known:
    key: ApiKey | None
    looked_at: float
    noted_at: float = float("-inf")


class KnownKeys:
    """Keys by their digest.

    Args:
        owners: owner by digest, of the settings.
    """

    def __init__(self, owners: Mapping[str, str], stored: StoredKeys) -> None:
        self._owners = owners
        self._stored = stored
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def owner_of(self, digest: str) -> str | None:
        """Return the owner of a key of the settings."""
        return self._owners.get(digest)

    def is_known(self, digest: str) -> bool:
        """Return whether a key was found when it was last looked up."""
        known = self._known.get(digest)
        return known is not None and known.key is not None

    async def find(self, digest: str) -> ApiKey | None:
        """Return what a key that was made at run time stands for; None: there is no such key.

        Raises:
            Overloaded: Redis is away.
        """
        known = self._known.get(digest)
        if known is None or time.monotonic() - known.looked_at > FRESH_SECONDS:
            await self._look([digest])
            known = self._known.get(digest)
        if known is None or known.key is None:
            return None
        await self._note_use(known)
        return known.key

    async def gone(self, digests: Iterable[str]) -> set[str]:
        """Return which of these keys have expired or were revoked.

        Raises:
            Overloaded: Redis is away.
        """
        asked = [each for each in set(digests) if each not in self._owners]
        await self._look(asked)
        return {each for each in asked if (known := self._known.get(each)) and known.key is None}

    async def _look(self, digests: list[str]) -> None:
        found = dict(zip(digests, await self._stored.find(digests), strict=True))
        # A token is worth nothing without the key that made it.
        made_with = {key.made_with for key in found.values() if key and key.made_with}
        asked = [each for each in made_with if each not in self._owners]
        parents = dict(zip(asked, await self._stored.find(asked), strict=True)) if asked else {}
        now = time.monotonic()
        for digest, key in found.items():
            if key is not None and key.made_with in parents and parents[key.made_with] is None:
                key = None
            before = self._known.get(digest)
            noted_at = before.noted_at if before else float("-inf")
            self._known[digest] = _Known(key, now, noted_at)
            self._known.move_to_end(digest)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _note_use(self, known: _Known) -> None:
        now = time.monotonic()
        if known.key is None or not known.key.id or now - known.noted_at < NOTED_SECONDS:
            return
        known.noted_at = now
        try:
            await self._stored.note_use(known.key.id)
        except TurnError as exc:
            log.warning("the use of key %s was not noted: %s", known.key.id, exc)
