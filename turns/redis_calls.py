"""Waits for Redis, and raises `RedisUnusable`, with the cause, when it can't be used."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from turnstream.turns import metrics
from turnstream.turns.errors import RedisUnusable
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_problem import REDIS_ERRORS, problem_of

#: A call fails this long after it began or, if that is later, after the last reply of Redis.
REPLY_SECONDS = 2.5
#: How long a cancelled call may take to end.
CANCEL_SECONDS = 0.5


class RedisCalls:
    """Waits for the replies of Redis to all calls of one node.

    Callers queue for connections, so a long wait is no sign of an outage while Redis replies to
    other calls.
    """

    def __init__(self, problems: ProblemLog) -> None:
        self._problems = problems
        #: When Redis last replied to any call.
        self._last_reply = 0.0

    async def reply(self, call: Awaitable[Any]) -> Any:
        """Wait for the reply to one call.

        Raises:
            RedisUnusable: Redis is away, refuses this service, or takes no data.
        """
        calling = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            while (left := max(begun, self._last_reply) + REPLY_SECONDS - time.monotonic()) > 0:
                if (await asyncio.wait({calling}, timeout=left))[0]:
                    reply = calling.result()
                    self._last_reply = time.monotonic()
                    metrics.redis_replied(self._last_reply - begun)
                    return reply
            raise TimeoutError
        except REDIS_ERRORS as exc:
            problem = self._problems.report(exc)
            metrics.redis_failed(problem.cause)
            raise RedisUnusable(problem) from exc
        finally:
            if calling.cancel():
                # The call returns its connection before the pool may be closed.
                await asyncio.wait({calling}, timeout=CANCEL_SECONDS)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors of redis-py.

    Raises:
        RedisUnusable: Redis is away, refuses this service, or takes no data.
    """
    try:
        yield
    except REDIS_ERRORS as exc:
        raise RedisUnusable(problem_of(exc)) from exc
