"""Starts the processes that a benchmark measures, and ends them by their pids.

The settings of the person who runs the benchmark have no effect: all `TURNSTREAM_*` variables are
removed from the environment before a process gets its own.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import redis
from redis.exceptions import RedisError

from turnstream.cli.ports import free_port
from turnstream.cli.redis_server import PrivateRedis, find_program

ROOT = Path(__file__).parents[1]
#: Longest time to become ready; loading torch on a busy machine is slow.
START_SECONDS = 120.0
#: A process that has not ended this long after SIGTERM is killed.
END_SECONDS = 15.0
_POLL_SECONDS = 0.05


class ProcessFailed(Exception):
    """A process ended, or was not ready in time; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process."""

    name: str
    popen: "subprocess.Popen[str]"
    #: Its standard error, and its standard output unless the benchmark reads that.
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def cpu_seconds(self) -> float:
        """Return the user and system time that it has used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def wait_until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until `ready()` is true.

        Raises:
            ProcessFailed: the process ended, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.popen.poll() is not None:
                raise ProcessFailed(f"{self.name} ended:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{self.name} is not ready after {seconds:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def next_line(self) -> str:
        """Read the next line of its standard output.

        Raises:
            ProcessFailed: it ended without another line.
        """
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise ProcessFailed(f"{self.name} ended:\n{self.log_tail()}")
        return line.rstrip("\n")

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


@contextmanager
def running(
    name: str,
    *arguments: str,
    directory: Path,
    environ: Mapping[str, str] | None = None,
    listen: bool = False,
    talk: bool = False,
) -> Iterator[Process]:
    """Run a program until the block ends.

    Args:
        listen: read its standard output from `popen.stdout` instead of logging it.
        talk: write to its standard input by `popen.stdin`; else it has none.
    """
    log = directory / f"{name}.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else output,
            stderr=output,
            env=clean_environ() | dict(environ or {}),
            cwd=ROOT,
            text=True,
        )
    try:
        yield Process(name, popen, log)
    finally:
        popen.terminate()
        try:
            popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                pipe.close()


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module of the project."""
    return (sys.executable, "-m", module, *arguments)


def clean_environ() -> dict[str, str]:
    """Return this process's environment without `TURNSTREAM_*` variables."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TURNSTREAM_")}
    return mine | {"HF_HUB_OFFLINE": "1"}


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Run a private Redis; yield its URL."""
    private = PrivateRedis.prepare(find_program(), directory / "redis")

    def answers() -> bool:
        with redis.Redis.from_url(private.url, protocol=2) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    with running("redis", *private.argv, directory=directory) as process:
        process.wait_until(answers)
        yield private.url


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves WebSockets."""

    process: Process
    #: `127.0.0.1:PORT`.
    address: str


@contextmanager
def front_end(directory: Path, redis_url: str, model: str) -> Iterator[Server]:
    """Run `turnstream serve`; the model needs no worker."""
    command = python("turnstream", "serve")
    with server("serve", *command, directory=directory, redis_url=redis_url, model=model) as ours:
        yield ours


@contextmanager
def server(
    name: str,
    *command: str,
    directory: Path,
    redis_url: str,
    model: str = "",
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server that reads the settings of the front end and answers `/healthz`."""
    port = free_port()
    own = {
        "TURNSTREAM_REDIS_URL": redis_url,
        "TURNSTREAM_PORT": str(port),
        "TURNSTREAM_MODEL": model,
    }
    environ = own | dict(environ or {})
    with running(name, *command, directory=directory, environ=environ) as process:
        process.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/healthz"))
        yield Server(process, f"127.0.0.1:{port}")


def answers_http(url: str) -> bool:
    """Return whether a GET is answered with status 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def end_on_sigterm() -> None:
    """Exit on SIGTERM as on Ctrl-C, so that every process that was started is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
