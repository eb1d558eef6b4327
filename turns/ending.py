"""Ends tasks that use Redis, for certain.

redis-py waits with `asyncio.wait_for`, which before Python 3.12 swallows a cancel that comes in the
moment in which what it waits for is done. A loop cancelled only once would then go on for ever.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

#: How long a task may take over its end before it is asked again.
ASK_AGAIN_SECONDS = 0.5


async def end(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancel tasks until all have ended; their errors are their group's business."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_SECONDS)
