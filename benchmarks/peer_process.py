"""One of those who are compared, in a process of its own, as each would run in earnest.

Side by side in one process they would slow each other down: every thread that computes keeps
helpers, and once these are more than the cores, all of them sleep between two products. Such a
process says `done` once it has loaded, and again after each batch that it reads, a line of JSON,
from its standard input.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.processes import ProcessFailed, python, running
from turnstream.workers import openmp

#: Our engine, which a worker starts with settings for its threads; peers have their usual ones.
OURS = ("compiled", "torch")


class Ended(Exception):
    """A peer is gone before its batch was answered."""


class PeerProcess:
    """Answers prompts, all of them at once; its processes sleep while others are measured."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, prompts: Sequence[Sequence[int]]) -> None:
        """Answer, and return when each prompt has its answer."""
        for process in self._family():
            process.resume()
        print(json.dumps([*map(list, prompts)]), file=self._process.stdin, flush=True)
        self.wait()

    def wait(self) -> None:
        """Return when it has nothing left to do, and put it to sleep.

        Raises:
            Ended: it says nothing more.
        """
        assert self._process.stdout
        if self._process.stdout.readline() != "done\n":
            raise Ended("it ended before its batch was answered")
        for process in self._family():
            process.suspend()

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = [process.cpu_times() for process in self._family()]
        return sum(time.user + time.system for time in times)

    def end(self) -> None:
        """End all its processes."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        program = psutil.Process(self._process.pid)
        return [program, *program.children(recursive=True)]


@contextmanager
def peer(
    name: str, folder: Path, cache: Path, *, threads: int | None = None
) -> Iterator[PeerProcess]:
    """Start one of `benchmarks.batch` with a checkpoint.

    Args:
        cache: where it may keep what it compiles.
        threads: how many it computes on; None leaves it to torch.
    """
    environ = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    if name in OURS:
        environ |= openmp.SETTINGS
    command = python("benchmarks.batch", name, str(folder), str(cache))
    directory = cache.parent
    with running(
        name, *command, directory=directory, environ=environ, listen=True, talk=True
    ) as process:
        one = PeerProcess(process.popen)
        try:
            one.wait()
            yield one
        except Ended as exc:
            raise ProcessFailed(f"{name} ended:\n{process.last_words()}") from exc
        finally:
            # Asleep it would not hear that it is to end.
            one.end()
