"""Read what clients send for their owners in rotation, and what is large on a thread.

Parsing and checking a request of eight megabytes takes up to a second. On a thread it keeps the
event loop for a few milliseconds at a time; a small one takes less than a change of threads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from turnstream.turns.fair_gate import FairGate
from turnstream.turns.tasks import take_error

T = TypeVar("T")

#: Bytes of a request that is read at once, without a thread.
SMALL_BYTES = 16 * 1024


class Reading:
    """Reads requests of all owners of a node.

    Args:
        waiting: requests of one owner that may wait to be read.
    """

    def __init__(self, waiting: int) -> None:
        self._small = FairGate(total=8, each=4, waiting=waiting)
        self._large = FairGate(total=1, each=1, waiting=waiting)
        self._thread = ThreadPoolExecutor(1, "reading")

    async def read(
        self, owner: str, size: int, read: Callable[[], T], then: Callable[[T], None] | None = None
    ) -> T:
        """Return what `read` returns, when it is the owner's turn.

        Args:
            size: bytes of what is read.
            then: called with it on the event loop, before others have a turn.

        Raises:
            RateLimited: too much of this owner waits already.
        """
        if size > SMALL_BYTES:
            # Whoever waits may be cancelled, the thread can't: it keeps its place until it is done.
            reading = asyncio.ensure_future(self._read_large(owner, read))
            reading.add_done_callback(take_error)
            result = await asyncio.shield(reading)
            if then is not None:
                then(result)
            return result
        async with self._small.admitted(owner):
            result = read()
            if then is not None:
                then(result)
            # The place is kept until others had a turn.
            await asyncio.sleep(0)
        return result

    async def turn(self, owner: str) -> None:
        """Wait until the owner may take a moment of the event loop's time, and then go on at once.

        Raises:
            RateLimited: too much of this owner waits already.
        """
        await self._small.enter(owner)
        # The place is kept until others had a turn.
        asyncio.get_running_loop().call_soon(self._small.leave, owner)

    async def _read_large(self, owner: str, read: Callable[[], T]) -> T:
        async with self._large.admitted(owner):
            return await asyncio.get_running_loop().run_in_executor(self._thread, read)
