"""Keeps a command running: restarts it when it ends, with growing delays, until it gives up."""

import asyncio

from turnstream.cli.child import Command, Groups, run
from turnstream.cli.console import BAD_SETTING, CANNOT_LOAD, log

#: After so many consecutive failures to load the model, the supervisor gives up.
MOST_LOAD_FAILURES = 3
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
#: After a run of this length the next delay is the first one again.
HEALTHY_SECONDS = 30.0


class GiveUp(Exception):
    """The command cannot run, and a restart would not help; the message is the reason."""

    def __init__(self, reason: str, *, code: int = 1) -> None:
        super().__init__(reason)
        #: The exit code of `turnstream up`.
        self.code = code


async def keep_running(command: Command, groups: Groups) -> None:
    """Run a command and restart it whenever it ends, until cancelled.

    Raises:
        GiveUp: a setting is invalid, or the model failed to load three times in a row.
    """
    loop = asyncio.get_running_loop()
    delay = FIRST_DELAY_SECONDS
    load_failures = 0
    while True:
        started = loop.time()
        ended = await run(command, groups)
        if ended.code == BAD_SETTING:
            raise GiveUp(ended.last_line or f"{command.name}: {ended}", code=BAD_SETTING)
        load_failures = load_failures + 1 if ended.code == CANNOT_LOAD else 0
        if load_failures == MOST_LOAD_FAILURES:
            raise GiveUp(
                f"{command.name} could not load its model in {load_failures} attempts:"
                f" {ended.last_line}"
            )
        if loop.time() - started >= HEALTHY_SECONDS:
            delay = FIRST_DELAY_SECONDS
        log("turnstream", f"{command.name} ended ({ended}); restarting it in {delay:g} s")
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY_SECONDS)
