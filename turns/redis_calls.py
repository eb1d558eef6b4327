"""Waits for Redis, and raises `RedisUnusable`, with the cause, when it can't be used."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from turnstream.turns import metrics
from turnstream.turns.errors import RedisUnusable
from turnstream.turns.fair_gate import READS, FairGate
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.redis_problem import REDIS_ERRORS, problem_of

#: A call fails this long after it began or, if that is later, after the last reply of Redis.
REPLY_SECONDS = 2.5


class RedisCalls:
    """Waits for the replies of Redis to all calls of one node.

    Callers queue for connections, so a long wait is no sign of an outage while Redis replies to
    other calls.
    """

    def __init__(self, problems: ProblemLog) -> None:
        self._reads = FairGate(total=READS, each=READS)
        self._problems = problems
        #: When Redis last replied to any call.
        self.last_reply = 0.0

    async def reply_to(self, owner: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make an owner's call when it is the owner's turn, and wait for the reply.

        Raises:
            RateLimited: too many calls of this owner wait already.
            RedisUnusable: as `reply`, also while the call waits for its turn.
        """
        return await self.reply(self._in_turn(owner, call))

    async def _in_turn(self, owner: str, call: Callable[[], Awaitable[Any]]) -> Any:
        async with self._reads.admitted(owner):
            return await call()

    async def reply(self, call: Awaitable[Any]) -> Any:
        """Wait for the reply to one call.

        Raises:
            RedisUnusable: Redis is away, refuses this service, or takes no data.
        """
        begun = time.monotonic()
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        try:
            # No task of its own: this is on the way of every turn, and a task costs another pass of
            # the event loop.
            async with asyncio.timeout(None) as waiting:
                patience = _Patience(self, waiting)
                try:
                    reply = await call
                finally:
                    patience.end()
        except REDIS_ERRORS as exc:
            problem = self._problems.report(exc)
            metrics.redis_failed(problem.cause)
            raise RedisUnusable(problem) from exc
        if task.cancelling() > cancelling:
            # redis-py's `asyncio.wait_for` has swallowed it; see `turns.tasks`.
            raise asyncio.CancelledError
        self.last_reply = time.monotonic()
        metrics.redis_replied(self.last_reply - begun)
        return reply


class _Patience:
    """Ends a call that had no reply for `REPLY_SECONDS`, nor any other call since then."""

    def __init__(self, calls: RedisCalls, waiting: asyncio.Timeout) -> None:
        self._calls = calls
        self._waiting = waiting
        self._begun = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(REPLY_SECONDS, self._check)

    def end(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left = max(self._begun, self._calls.last_reply) + REPLY_SECONDS - time.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        else:
            self._waiting.reschedule(self._loop.time())


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
