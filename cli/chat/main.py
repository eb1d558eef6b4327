"""Starts `turnstream chat`, as a conversation or for a script."""

import asyncio
import os
import sys
from dataclasses import dataclass

from turnstream.cli.chat.settings import ChatSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line that are no settings."""

    #: Go on with the latest conversation.
    resume: bool


def run(options: Options) -> int:
    """Talk, or answer stdin; return the exit code."""
    settings = ChatSettings.read(os.environ)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from turnstream.cli.chat import session  # prompt_toolkit and rich take time to import

        return asyncio.run(session.run(settings, resume=options.resume))
    from turnstream.cli.chat import piped

    return piped.run(settings)
