"""Repeats calls of a batch's runner while Redis is unavailable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from turnstream.turns.errors import Overloaded

RETRY_SECONDS = 0.25

T = TypeVar("T")


async def retry_while_unavailable(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until it succeeds; there is no limit, since a stopping node cancels it."""
    while True:
        try:
            return await call()
        except Overloaded:
            await asyncio.sleep(RETRY_SECONDS)
