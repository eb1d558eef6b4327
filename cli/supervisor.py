"""Keeps a command running: starts it again when it ends, later each time, until that is no use."""

import asyncio

from turnstream.cli.child import Command, Groups, run
from turnstream.cli.console import say
from turnstream.cli.exit_code import BAD_SETTING, CANNOT_LOAD

#: A model that failed to load so often, running, will not load the next time either.
MOST_LOAD_FAILURES = 3
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
#: Who ran so long was well: the next delay is the first one again.
STEADY_SECONDS = 30.0


class GiveUp(Exception):
    """Going on makes no sense; the message is the reason."""

    def __init__(self, reason: str, *, code: int = 1) -> None:
        super().__init__(reason)
        #: What `turnstream up` ends with.
        self.code = code


async def keep(command: Command, groups: Groups) -> None:
    """Run a command again and again. Only cancelling ends this, or a reason to give up.

    Raises:
        GiveUp: a setting is wrong, or the model failed to load three times running.
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
                f"{command.name} failed to load its model {load_failures} times: {ended.last_line}"
            )
        if loop.time() - started >= STEADY_SECONDS:
            delay = FIRST_DELAY_SECONDS
        say("turnstream", f"{command.name} ended ({ended}); starting it again in {delay:g} s")
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY_SECONDS)
