"""Folders with models that were made from others, in the user's cache; each is made once.

They may be deleted whenever no worker is starting.
"""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import transformers

from turnstream.workers.engine import CheckpointError


def made_once(cache: Path, name: str, made_of: object, make: Callable[[Path], None]) -> Path:
    """Return the folder of a model; make it if it is not there.

    Args:
        cache: the folder for all of them; other processes may use it at the same time.
        made_of: what its content depends on; its `repr` decides whether it is the same model.
        make: writes the model into the folder that it is given, which does not exist yet.

    Raises:
        CheckpointError: the folder cannot be written, or `make` raises it.
    """
    key = repr((made_of, transformers.__version__))
    folder = cache / "models" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as unfinished:
                    complete = Path(unfinished) / folder.name
                    make(complete)
                    complete.rename(folder)
    except OSError as exc:
        raise CheckpointError(f"{name}: cannot write {folder}: {exc}") from exc
    return folder


def version_of(file: Path) -> tuple[str, int, int]:
    """Return what changes when a file does."""
    stat = file.stat()
    return str(file.resolve()), stat.st_size, stat.st_mtime_ns


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a file's lock; it ends with the process that holds it."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
