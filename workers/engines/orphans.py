"""Kill the processes that an engine started when their worker has died.

vLLM's processes do not notice the death of the worker: after SIGKILL they would keep their memory
and the GPU's for ever. So this module runs as a program beside the worker and reads a pipe that
only the worker holds open.
"""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil

#: How often new processes are looked for until all have started.
POLL_SECONDS = 0.5
ALL_STARTED, ALL_ENDED, ACKNOWLEDGED = b"s", b"e", b"."


@contextlib.contextmanager
def ended_with_us() -> Iterator[Callable[[], None]]:
    """Kill the processes started inside this context if this process dies inside it.

    Yields a function to call once all of them have started.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        # SIGINT of the terminal must not reach it.
        start_new_session=True,
    )
    with watcher:
        assert watcher.stdin
        assert watcher.stdout
        to_watcher, from_watcher = watcher.stdin, watcher.stdout

        def all_started() -> None:
            to_watcher.write(ALL_STARTED)
            from_watcher.read(1)

        from_watcher.read(1)
        try:
            yield all_started
        finally:
            # The watcher may have been killed.
            with contextlib.suppress(BrokenPipeError):
                to_watcher.write(ALL_ENDED)


def watch(worker: psutil.Process) -> None:
    """Return when told that all has ended; if the worker dies before, kill what it started."""
    others = {psutil.Process(), *worker.children(recursive=True)}
    started: set[psutil.Process] = set()
    os.write(1, ACKNOWLEDGED)
    message = b""
    while message != ALL_ENDED:
        timeout = None if message == ALL_STARTED else POLL_SECONDS
        if select.select([0], [], [], timeout)[0] and not (message := os.read(0, 1)):
            break
        with contextlib.suppress(psutil.NoSuchProcess):
            started |= set(worker.children(recursive=True)) - others
        if message == ALL_STARTED:
            os.write(1, ACKNOWLEDGED)
    else:
        return
    for process in started:
        # psutil does not kill another process that has got the same PID.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    watch(psutil.Process(int(sys.argv[1])))
