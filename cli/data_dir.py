"""Holds the data directory for one `turnstream up` at a time.

The lock belongs to the open file, which the guards inherit: after `up` was killed it is held until
its last child has ended, so two Redis servers never open the same files.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from turnstream.cli.console import log

#: Longest wait for the children of an `up` that was killed.
ORPHAN_SECONDS = 20.0


class DataDirInUse(Exception):
    """Another `turnstream up` uses this directory."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"turnstream up already runs on {path} (pid {pid})")


class DataDirUnusable(Exception):
    """The directory cannot be made or written to."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"--data-dir {path}: {reason}")


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory that is used without a setting."""
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    parent = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return parent / "turnstream"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Create the directory if it is missing and lock it; yield the descriptor of the lock.

    Raises:
        DataDirInUse: an `up` that runs holds the lock.
        DataDirUnusable: it cannot be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DataDirUnusable(path, exc.strerror or str(exc)) from exc
    try:
        acquire(lock, path)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def acquire(lock: int, path: Path) -> None:
    """Acquire the lock; wait only if its owner was killed and the children are ending."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    waiting = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            if is_alive(pid) or time.monotonic() > deadline:
                raise DataDirInUse(path, pid) from None
        if not waiting:
            log(
                "turnstream",
                f"waiting for the processes of an earlier turnstream up (pid {pid}) to end",
            )
            waiting = True
        time.sleep(0.2)


def is_alive(pid: str) -> bool:
    """Return whether a process runs; True if `pid` is no number, as its owner may be writing it."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
