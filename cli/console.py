"""What `turnstream up` shows: everybody's lines under their names, on stderr.

stdout carries the `ready` line and nothing else, so that a script can wait for it.
"""

import contextlib
import sys

#: Names are padded to this, so that the lines stand in a column.
NAME_WIDTH = 10


def say(name: str, line: str) -> None:
    """Show a line under the name of who says it."""
    with contextlib.suppress(BrokenPipeError):  # nobody looks any more; the work goes on
        print(f"{name:<{NAME_WIDTH}} | {line}", file=sys.stderr, flush=True)


def announce(line: str) -> None:
    """Print the one line that scripts wait for."""
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)
