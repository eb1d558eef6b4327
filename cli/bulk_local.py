"""`turnstream bulk --local`: a private service for one run.

It runs under a guard, so it ends when this process ends, also when that is killed. Its data is kept
until the run is complete: after an interruption the same command continues with it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from turnstream.cli.child import GUARD
from turnstream.cli.front_ends import child_environ

#: Variables of the environment that do not apply to the private service.
OWN = ("API_KEYS", "FILES", "HOST", "NODE", "PORT", "PROCESSES", "REDIS_URL", "REUSE_PORT")
#: Seconds between SIGTERM and SIGKILL: in this time workers finish or requeue their turns.
GRACE_SECONDS = 20.0


class NoService(Exception):
    """The service did not start; the message is its last line of output."""


@contextmanager
def local_service(data_dir: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a service; yield its URL.

    Raises:
        NoService: it ended before it was ready.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = data_dir / "up.log"
    mine = {k: v for k, v in environ.items() if k.removeprefix("TURNSTREAM_") not in OWN}
    lifeline_end, lifeline = os.pipe()
    up = (
        sys.executable,
        "-P",
        "-m",
        "turnstream",
        "up",
        "--port",
        "0",
        "--data-dir",
        str(data_dir),
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-S", GUARD, str(lifeline_end), str(GRACE_SECONDS), *up),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=child_environ(mine),
            pass_fds=(lifeline_end,),
            # Ctrl-C reaches this process only, which then ends the service.
            start_new_session=True,
        )
    os.close(lifeline_end)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().decode().split()
        if len(ready) != 2:
            lines = log.read_text(errors="replace").splitlines()
            raise NoService(lines[-1] if lines else "the service ended without any output")
        yield ready[1]
    finally:
        os.close(lifeline)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
