"""Starts what a benchmark measures, each as a process of its own, and ends it by its pid.

A benchmark reads no setting of the person who runs it: every `TURNSTREAM_*` variable is taken out
before a process gets its own.
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

from turnstream.cli.redis_server import PrivateRedis, find_program, free_port

ROOT = Path(__file__).parents[1]
#: Loading torch on a busy machine takes a while.
START_SECONDS = 120.0
#: What does not end within this after SIGTERM is killed.
END_SECONDS = 15.0
_LOOK_SECONDS = 0.05


class ProcessFailed(Exception):
    """A process ended, or did not become ready in time; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process."""

    name: str
    popen: "subprocess.Popen[str]"
    #: Everything it says, but its standard output if that is read by the benchmark.
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def cpu_seconds(self) -> float:
        """User and system time that it has used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def wait_until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Return once `ready()`; it is asked again and again.

        Raises:
            ProcessFailed: the process ended, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.popen.poll() is not None:
                raise ProcessFailed(f"{self.name} ended:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{self.name} is not ready after {seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(_LOOK_SECONDS)

    def next_line(self) -> str:
        """Wait for the next line of its standard output; it must be one that ends by itself.

        Raises:
            ProcessFailed: it ended without another line.
        """
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise ProcessFailed(f"{self.name} ended:\n{self.last_words()}")
        return line.rstrip("\n")

    def last_words(self) -> str:
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
    """Run a program until the block is left.

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
    """Give the command that runs a module of the project."""
    return (sys.executable, "-m", module, *arguments)


def clean_environ() -> dict[str, str]:
    """Give this process's environment without anybody's settings."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TURNSTREAM_")}
    return mine | {"HF_HUB_OFFLINE": "1"}


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Run a private Redis; gives its URL."""
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
    """A process that takes WebSockets."""

    process: Process
    #: `127.0.0.1:PORT`.
    address: str


@contextmanager
def front_end(directory: Path, redis_url: str, model: str) -> Iterator[Server]:
    """Run `turnstream serve`; its model need not have a worker."""
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
    """Run a server that takes its settings as the front end does, and has a `/healthz`."""
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
    """Tell whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def end_on_sigterm() -> None:
    """Leave by the same door as on Ctrl-C, so that nothing started here stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
