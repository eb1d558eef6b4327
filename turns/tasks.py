"""Runs tasks in the background, and ends tasks that use Redis reliably.

redis-py waits with `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes
just when what it waits for is done. A loop cancelled only once would then never end.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol

#: How long a task may take to end before it is cancelled again.
CANCEL_AGAIN_SECONDS = 0.5


async def end(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancel tasks until all have ended; their errors are left to their group."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


def take_error(task: "asyncio.Future[Any]") -> None:
    """Take the error of a task that has ended, since nobody may be left whom it could concern."""
    _ = task.cancelled() or task.exception()


class Start(Protocol):
    """Starts one more task of a `background` block."""

    def __call__(self, loop: "Coroutine[Any, Any, Any]", *, name: str) -> None: ...


@asynccontextmanager
async def background(**loops: "Coroutine[Any, Any, Any]") -> AsyncIterator[Start]:
    """Run coroutines as tasks, named by their keywords, until the block ends, then cancel them.

    The block gets a function that starts further tasks. An error of a task cancels the block and
    is raised from it in an exception group.
    """
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[Any]] = []

        def start(loop: "Coroutine[Any, Any, Any]", *, name: str) -> None:
            tasks.append(group.create_task(loop, name=name))

        for name, loop in loops.items():
            start(loop, name=name)
        try:
            yield start
        finally:
            await end(tasks)
