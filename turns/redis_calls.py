"""Waits for Redis, and raises `Overloaded` when it does not reply or refuses to write."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError

from turnstream.turns.errors import Overloaded

#: A call fails this long after it began or, if that is later, after the last reply of Redis.
REPLY_SECONDS = 2.5
#: How long a cancelled call may take to end.
CANCEL_SECONDS = 0.5


class RedisCalls:
    """Waits for the replies of Redis to all calls of one node.

    Callers queue for connections, so a long wait is no sign of an outage while Redis replies to
    other calls.
    """

    def __init__(self) -> None:
        #: When Redis last replied to any call.
        self._last_reply = 0.0

    async def reply(self, call: Awaitable[Any]) -> Any:
        """Wait for the reply to one call.

        Raises:
            Overloaded: Redis can't be reached, or refuses to write.
        """
        calling = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            while (left := max(begun, self._last_reply) + REPLY_SECONDS - time.monotonic()) > 0:
                if (await asyncio.wait({calling}, timeout=left))[0]:
                    reply = calling.result()
                    self._last_reply = time.monotonic()
                    return reply
            raise TimeoutError
        except (RedisError, OSError, TimeoutError) as exc:
            raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
        finally:
            if calling.cancel():
                # The call returns its connection before the pool may be closed.
                await asyncio.wait({calling}, timeout=CANCEL_SECONDS)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors of redis-py.

    Raises:
        Overloaded: Redis can't be reached, or refuses to write.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
