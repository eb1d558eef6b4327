"""Holds the data directory for one `turnstream up` at a time.

The lock belongs to the open file, which the guards inherit: a killed `up` keeps it until the last
of its children has ended, so no second Redis ever opens the first one's files.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from turnstream.cli.console import say

#: How long to wait for the children of an `up` that was killed.
ORPHAN_SECONDS = 20.0


class DataDirInUse(Exception):
    """Another `turnstream up` runs here."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"turnstream up already runs on {path} (pid {pid})")


class DataDirUnusable(Exception):
    """There can be no data directory here."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"--data-dir {path}: {reason}")


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Return where data goes if nobody says."""
    base = environ.get("XDG_DATA_HOME", "")
    # The standard says that a relative path there is to be ignored.
    parent = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return parent / "turnstream"


@contextlib.contextmanager
def held(path: Path) -> Iterator[int]:
    """Make the directory if need be and hold it; gives the descriptor of the lock.

    Raises:
        DataDirInUse: a living `up` holds it.
        DataDirUnusable: it can't be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DataDirUnusable(path, exc.strerror or str(exc)) from exc
    try:
        take(lock, path)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def take(lock: int, path: Path) -> None:
    """Take the lock; wait for it only where its owner is dead and its children are ending."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    waiting = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            if alive(pid) or time.monotonic() > deadline:
                raise DataDirInUse(path, pid) from None
        if not waiting:
            say("turnstream", f"waiting for the processes of a killed turnstream up (pid {pid})")
            waiting = True
        time.sleep(0.2)


def alive(pid: str) -> bool:
    """Tell whether a process lives. An unreadable number counts: its owner is just writing it."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
