"""Runs a Redis of a test's own, to be broken."""

import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from harness.ports import free_port
from turnstream.cli.redis_server import find_program

START_SECONDS = 20.0


class RedisServer:
    """A Redis, by default without a password, that keeps nothing on disk; a context manager."""

    def __init__(self, directory: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self._log = directory / f"redis-{self.port}.log"
        self._argv = (
            find_program().path,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(directory), "--logfile", str(self._log)),
            # A replica gets all data at once, and not after five seconds.
            *("--repl-diskless-sync-delay", "0", *options),
            *(("--requirepass", password, "--masterauth", password) if password else ()),
        )
        self.admin = Redis(
            port=self.port, password=password or None, protocol=2, decode_responses=True
        )

    def url(self, login: str = "") -> str:
        """Return its URL, with `USER:PASSWORD@` if that is given."""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._argv)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.admin.ping()
                return self
            except RedisError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__(None, None, None)
                    raise AssertionError(self._log.read_text()) from None
                time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.admin.close()
        self.kill()

    def pause(self) -> None:
        """Stop it, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after a pause."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it; entered again, it starts empty."""
        self._process.kill()
        self._process.wait()
