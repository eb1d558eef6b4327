"""How long Redis may take over an answer before a client hears that it is away.

A crowd waits for connections, so while Redis speaks to others a long wait means nothing.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from redis.exceptions import RedisError

from turnstream.turns.errors import Overloaded

#: Longest that a client waits to hear that Redis is away, from its asking or Redis's last answer.
REFUSE_SECONDS = 2.5
#: How long a call that nobody waits for any more may take to end.
LAST_WORDS_SECONDS = 0.5


class Patience:
    """Waits for Redis on behalf of everybody at one node."""

    def __init__(self) -> None:
        #: When Redis last answered anybody here.
        self._spoke = 0.0

    async def answer(self, call: Awaitable[Any]) -> Any:
        """Wait for the answer to one call.

        Raises:
            Overloaded: Redis is away.
        """
        answering = asyncio.ensure_future(call)
        begun = time.monotonic()
        try:
            while (left := max(begun, self._spoke) + REFUSE_SECONDS - time.monotonic()) > 0:
                if (await asyncio.wait({answering}, timeout=left))[0]:
                    answer = answering.result()
                    self._spoke = time.monotonic()
                    return answer
            raise TimeoutError
        except (RedisError, OSError, TimeoutError) as exc:
            raise Overloaded("The queue can't be reached. Try again in a moment.") from exc
        finally:
            if answering.cancel():
                # It gives its connection back before somebody closes them all.
                await asyncio.wait({answering}, timeout=LAST_WORDS_SECONDS)
