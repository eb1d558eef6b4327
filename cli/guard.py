"""Runs one command and ends it when `turnstream up` ends, also when `up` was killed.

Each child of `up` runs under this process, which holds the read end of a pipe; `up` holds the only
write end. When `up` is gone, for whatever reason, the read returns and the guard ends its child:
SIGTERM, a grace period, SIGKILL. The file is run by its path and without `site`, because that makes
every child start faster; it may import the standard library only.
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
        # The child may have left descendants in this group, which is also ours. `up` is gone or
        # ending this child, so the exit code is not needed.
        os.killpg(0, signal.SIGKILL)
    return 128 - code if code < 0 else code


def end_with(
    lifeline: int, child: "subprocess.Popen[bytes]", grace: float, ending: threading.Event
) -> None:
    """End the child once the write end of the pipe is closed."""
    os.read(lifeline, 1)
    ending.set()
    child.terminate()
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
