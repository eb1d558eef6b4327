"""What commands print and which exit codes they return.

`turnstream up` prints the lines of all its processes to stderr, each under the name of its process.
stdout gets the `ready` line and nothing else, so that a script can wait for it.
"""

import contextlib
import json
import os
import sys
import time

from turnstream.turns.environment import PREFIX
from turnstream.turns.log_lines import LOG, utc

#: The command line or a variable is invalid; a restart would not help.
BAD_SETTING = 2
#: A worker could not load its model; its last line of output is the reason.
CANNOT_LOAD = 3
#: `turnstream bulk` has written its output, and some of its lines are errors.
SOME_FAILED = 4
#: `turnstream check-gpu` or `check-engine` has found that answers would be wrong.
NOT_FIT = 5
#: `turnstream chat` has printed an answer that was cut or cancelled.
INCOMPLETE = 6
#: `turnstream loadtest` missed its target, or found that something was lost or doubled.
NOT_MET = 6
DAMAGED = 7
#: Ctrl-C.
INTERRUPTED = 130
#: The reader of stdout is gone, as a shell says it of SIGPIPE.
BROKEN_PIPE = 141

#: Names are padded to this width, so that the lines are aligned.
NAME_WIDTH = 10


def log(name: str, line: str) -> None:
    """Print a line to stderr under the name of its process."""
    shown = f"{name:<{NAME_WIDTH}} | {line}"
    if os.environ.get(f"{PREFIX}{LOG.name}", "").strip() == "json":
        shown = json_line(name, line)
    with contextlib.suppress(BrokenPipeError):  # the reader of stderr is gone; the service goes on
        print(shown, file=sys.stderr, flush=True)


def json_line(name: str, line: str) -> str:
    """Return a line as JSON that names its process; one that is JSON already keeps its fields."""
    try:
        said = json.loads(line)
        entry = {**said, "time": said["time"], "process": name}
    except (ValueError, TypeError, KeyError):
        entry = {"process": name, "time": utc(time.time()), "message": line}
    return json.dumps(entry)


def announce(line: str) -> None:
    """Print the line that scripts wait for to stdout."""
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)
