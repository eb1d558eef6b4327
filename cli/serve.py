"""`turnstream serve`: one front end in this process, or several below it, restarted when they end.

One process runs in this one, so that a container's signals and exit codes are those of the node.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from turnstream.cli.child import Command, Groups
from turnstream.cli.front_ends import child_environ, free_to_listen, front_ends
from turnstream.cli.supervisor import GiveUp, keep_running
from turnstream.cli.until_signal import until_signal
from turnstream.ws_server import serve
from turnstream.ws_server.settings import ServerSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    settings = ServerSettings.read(os.environ)
    if settings.processes == 1:
        return serve.run()
    try:
        # Front ends that share a port would share it with another service of this user, too.
        free_to_listen(settings.host, settings.port)
        commands = front_ends(
            child_environ(os.environ), processes=settings.processes, port=settings.port
        )
        groups = Groups()
        asyncio.run(until_signal(_keep_all(commands, groups), groups))
    except GiveUp as exc:
        print(f"turnstream serve: {exc}", file=sys.stderr)
        return exc.code
    return 0


async def _keep_all(commands: Sequence[Command], groups: Groups) -> None:
    async with asyncio.TaskGroup() as tasks:
        for command in commands:
            tasks.create_task(keep_running(command, groups))
