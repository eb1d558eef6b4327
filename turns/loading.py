"""How much of its model a worker has loaded, for those who wait for it.

It is written to Redis only so that `/readyz` can tell; nothing depends on it.
"""

import time

import redis

from turnstream.turns import keys
from turnstream.turns.queue import RETRYABLE_ERRORS

#: A worker that ended while it loaded is forgotten after this time.
EXPIRES_SECONDS = 60
PAUSE_SECONDS = 0.5


class LoadingProgress:
    """Reports a worker's loading; when Redis can't be used, no more is reported."""

    def __init__(self, client: "redis.Redis", model: str) -> None:
        self._client = client
        self._key = keys.loading(model)
        self._next = 0.0

    def report(self, share: float) -> None:
        """Write a share from 0 to 1, unless one was written just now."""
        now = time.monotonic()
        if now < self._next and (share < 1 or self._next == float("inf")):
            return
        self._next = now + PAUSE_SECONDS
        try:
            self._client.set(self._key, int(share * 100), ex=EXPIRES_SECONDS)
        except RETRYABLE_ERRORS:
            self._next = float("inf")
