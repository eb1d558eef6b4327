"""Ends the processes that an engine started once the worker that they belong to is gone.

vLLM's processes do not notice that nobody is left to ask them anything: after a SIGKILL of the
worker they would keep their memory, and a GPU's, for ever. So this runs beside such a worker, as a
program of its own; only the worker holds the other end of the pipe that it reads.
"""

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil

#: How often it looks for new processes until it is told that all are there.
LOOK_SECONDS = 0.5
ALL_STARTED, ALL_ENDED, SEEN = b"s", b"e", b"."


@contextlib.contextmanager
def ended_with_us() -> Iterator[Callable[[], None]]:
    """Have whatever this process starts in here end with it, should it end in here.

    What is given is to be called once all is started.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-I", __file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        # Ctrl-C is not for it.
        start_new_session=True,
    )
    with watcher:
        assert watcher.stdin
        assert watcher.stdout
        told, seen = watcher.stdin, watcher.stdout

        def all_started() -> None:
            told.write(ALL_STARTED)
            seen.read(1)

        seen.read(1)
        try:
            yield all_started
        finally:
            # Somebody may have ended it.
            with contextlib.suppress(BrokenPipeError):
                told.write(ALL_ENDED)


def watch(worker: psutil.Process) -> None:
    """Return when all has ended; when the worker has ended first, end what it started."""
    others = {psutil.Process(), *worker.children(recursive=True)}
    started: set[psutil.Process] = set()
    os.write(1, SEEN)
    word = b""
    while word != ALL_ENDED:
        patience = None if word == ALL_STARTED else LOOK_SECONDS
        if select.select([0], [], [], patience)[0] and not (word := os.read(0, 1)):
            break
        with contextlib.suppress(psutil.NoSuchProcess):
            started |= set(worker.children(recursive=True)) - others
        if word == ALL_STARTED:
            os.write(1, SEEN)
    else:
        return
    for process in started:
        # A PID that is somebody else's by now is noticed and left alone.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    watch(psutil.Process(int(sys.argv[1])))
