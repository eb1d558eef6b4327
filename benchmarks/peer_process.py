"""Runs each engine of a comparison in a process of its own.

In one process they would slow each other down: every thread that computes keeps OpenMP threads, and
once these outnumber the cores, all of them sleep between two products. The process prints `done`
when it has loaded, and again after each batch, which it reads as a line of JSON from its standard
input.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.processes import ProcessFailed, python, running
from turnstream.workers import openmp

#: Our engine gets the OpenMP settings of a worker; peers keep their defaults.
OURS = ("compiled", "torch")


class Ended(Exception):
    """The process ended before its batch was answered."""


class PeerProcess:
    """Answers batches of prompts; its processes are suspended while others are measured."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, prompts: Sequence[Sequence[int]]) -> None:
        """Answer all prompts; return when the last answer is complete."""
        for process in self._family():
            process.resume()
        print(json.dumps([*map(list, prompts)]), file=self._process.stdin, flush=True)
        self.wait()

    def wait(self) -> None:
        """Wait for `done`, then suspend the processes.

        Raises:
            Ended: the process ended instead.
        """
        assert self._process.stdout
        if self._process.stdout.readline() != "done\n":
            raise Ended("it ended before its batch was answered")
        for process in self._family():
            process.suspend()

    def end(self) -> None:
        """Kill all its processes."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        program = psutil.Process(self._process.pid)
        return [program, *program.children(recursive=True)]


@contextmanager
def peer(name: str, folder: Path, cache: Path) -> Iterator[PeerProcess]:
    """Start an engine of `benchmarks.batch` with a checkpoint.

    Args:
        cache: the folder of the compiled op.
    """
    environ = openmp.SETTINGS if name in OURS else {}
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
            raise ProcessFailed(f"{name} ended:\n{process.log_tail()}") from exc
        finally:
            # A suspended process would not react to SIGTERM.
            one.end()
