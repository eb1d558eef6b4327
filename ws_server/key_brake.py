"""Slow down who guesses keys, without locking out the others at the same address.

An address may send so many unknown keys a minute. Beyond that a key is not even looked up, unless
the same address has used it before: an office goes on while one machine in it guesses.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from turnstream.ws_server.request_errors import TooManyWrongKeys

#: Addresses, and pairs of address and key, that are remembered; the longest unused go first.
REMEMBERED = 10_000
_MINUTE = 60.0

K = TypeVar("K")
V = TypeVar("V")


class KeyBrake:
    """Count unknown keys by address.

    Args:
        per_minute: a whole minute's may come at once, and then one at a time; 0 is no limit.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        #: When an address's count would be back at zero.
        self._clear_at: OrderedDict[str, float] = OrderedDict()
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, address: str, digest: str) -> None:
        """Let a key be looked up.

        Raises:
            TooManyWrongKeys: not now.
        """
        if not self._per_minute or (address, digest) in self._used:
            return
        wait = self._clear_at.get(address, 0.0) - self._now() - _MINUTE + self._step
        if wait > 0:
            raise TooManyWrongKeys(wait)

    def known(self, address: str, digest: str) -> None:
        """Remember that an address uses this key."""
        _put(self._used, (address, digest), None)

    def unknown(self, address: str) -> None:
        """Count a key that nobody has."""
        if self._per_minute:
            now = self._now()
            _put(self._clear_at, address, max(now, self._clear_at.get(address, now)) + self._step)

    @property
    def _step(self) -> float:
        return _MINUTE / self._per_minute


def _put(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > REMEMBERED:
        entries.popitem(last=False)
