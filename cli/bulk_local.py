"""`turnstream bulk --local`: a whole private service for the time of one run.

It runs under a guard, so that it ends with the run, however that ends. Its data stay until the run
is over: started again, it goes on with them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from turnstream.cli.child import GUARD
from turnstream.cli.up import from_source

#: What a private service has of its own.
OWN = ("API_KEYS", "FILES", "HOST", "NODE", "PORT", "REDIS_URL")
#: Longest that it may take to end: its children finish, or hand on, what they have.
GRACE_SECONDS = 20.0


class NoService(Exception):
    """The service did not start; the message is its last word."""


@contextmanager
def local_service(data_dir: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a service and give its URL.

    Raises:
        NoService: it ended instead of getting ready.
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
            env=from_source(mine),
            pass_fds=(lifeline_end,),
            # Ctrl-C is for the run; it ends the service in good order.
            start_new_session=True,
        )
    os.close(lifeline_end)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().decode().split()
        if len(ready) != 2:
            words = log.read_text(errors="replace").splitlines()
            raise NoService(words[-1] if words else "it said nothing")
        yield ready[1]
    finally:
        os.close(lifeline)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
