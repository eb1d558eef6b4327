"""Runs a command's processes until a signal stops them."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from turnstream.cli.child import Groups
from turnstream.cli.console import log
from turnstream.cli.supervisor import GiveUp


async def until_signal(serving: "Coroutine[Any, Any, None]", groups: Groups) -> None:
    """Run it until a signal; a second signal kills all processes at once.

    Raises:
        GiveUp: a process cannot run.
    """
    this = asyncio.current_task()
    assert this is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            return groups.kill()
        stopping = True
        log("turnstream", "stopping; a second signal kills all processes at once")
        this.cancel()
        return None

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await serving
    except asyncio.CancelledError:
        if not stopping:
            raise
        log("turnstream", "stopped")
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, or its first `GiveUp` if it has one."""
    mine, others = group.split(GiveUp)
    exc: BaseException = mine or others or group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
