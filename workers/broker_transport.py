"""Celery's Redis transport, which takes a wake-up a moment after it arrives.

A wake-up also comes by the worker's control channel, whose thread claims the turn. Redis writes to
Celery first, and what Celery does with a message holds the interpreter as long as a claim takes.
"""

import time
from typing import Any

from kombu.transport.redis import SentinelTransport as StockSentinelTransport
from kombu.transport.redis import Transport as StockTransport

#: How long a claim may take before Celery's message asks for it again. A message that arrives
#: sooner than this after the last one is taken at once, so that a long queue is not held up.
DELAY_SECONDS = 0.01


class _Pausing:
    """Receives messages as kombu's transports do, but after a pause."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken_at = 0.0

    def on_readable(self, fileno: int) -> None:
        """Take a message, on Celery's main thread."""
        if time.monotonic() - self._taken_at >= DELAY_SECONDS:
            time.sleep(DELAY_SECONDS)
        parent: Any = super()
        try:
            parent.on_readable(fileno)
        finally:
            self._taken_at = time.monotonic()


# The stubs have the signature of other transports.
class Transport(_Pausing, StockTransport):  # type: ignore[misc]
    """Connects to a Redis."""


class SentinelTransport(_Pausing, StockSentinelTransport):  # type: ignore[misc]
    """Asks Sentinels for the primary, and connects to it."""
