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


class Patience:
    """Waits for the replies of Redis on behalf of one node.

    Callers queue for connections, so a long wait means nothing while Redis replies to others.
    """

    def __init__(self) -> None:
        #: When Redis last replied to any call.
        self._spoke = 0.0

    async def answer(self, call: Awaitable[Any]) -> Any:
        """Wait for the reply to one call.

        Raises:
            Overloaded: Redis is away.
        """
        answering = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            while (left := max(begun, self._spoke) + REPLY_SECONDS - time.monotonic()) > 0:
                if (await asyncio.wait({answering}, timeout=left))[0]:
                    answer = answering.result()
                    self._spoke = time.monotonic()
                    return answer
            raise TimeoutError
        except (RedisError, OSError, TimeoutError) as exc:
            raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
        finally:
            if answering.cancel():
                # The call returns its connection before the pool may be closed.
                await asyncio.wait({answering}, timeout=CANCEL_SECONDS)


@contextmanager
def reached() -> Iterator[None]:
    """Translate the errors of redis-py.

    Raises:
        Overloaded: Redis can't be reached, or refuses to write.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
