"""Runs one command for as long as `turnstream up` lives, and not a second longer.

`up` may be killed in a way that leaves it no last word. So each of its children runs under this
small process, which holds the read end of a pipe; the only write end is in `up`. When that end is
gone, for whatever reason, reading returns, and the guard ends its child: SIGTERM, a grace, SIGKILL.
It is run by its path and without `site`, for it starts with every child: standard library only.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main() -> int:
    """Run `guard.py FD GRACE COMMAND…`; the exit code is the command's, 128 + n after signal n."""
    lifeline, grace, command = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    try:
        child = subprocess.Popen(command)
    except OSError as exc:
        print(f"cannot start {command[0]}: {exc.strerror}", file=sys.stderr)
        return 127
    ending = threading.Event()
    arguments = (lifeline, child, grace, ending)
    threading.Thread(target=end_with, args=arguments, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    code = child.wait()
    if ending.is_set():
        # The child may have had children. This group is theirs and ours; nobody waits for our code.
        os.killpg(0, signal.SIGKILL)
    return 128 - code if code < 0 else code


def end_with(
    lifeline: int, child: "subprocess.Popen[bytes]", grace: float, ending: threading.Event
) -> None:
    """End the child once nobody holds the other end of the pipe."""
    os.read(lifeline, 1)
    ending.set()
    child.terminate()
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
