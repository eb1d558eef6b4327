"""Runs the whole service, `turnstream up`, for tests over HTTP and WebSockets."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from harness.ports import free_port

ROOT = Path(__file__).parents[1]
#: Longest time to become ready; loading torch on a busy machine is slow.
READY_SECONDS = 180.0
STOP_SECONDS = 30.0


class Service:
    """A private `turnstream up`: a free port, a new data directory, the demo model.

    `stdout` and `logs` have its whole output.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        model: str = "demo",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.arguments = ("--port", "0", "--data-dir", str(self.data_dir), "--model", model)
        self.arguments += arguments
        #: Settings of the person who runs the tests have no effect.
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")}
        self.environ |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        #: Of its first worker.
        self.worker_metrics_port = free_port()
        self.environ["TURNSTREAM_WORKER_METRICS_PORT"] = str(self.worker_metrics_port)
        self.environ |= environ or {}
        self.url = ""

    def start(self) -> None:
        """Start it without waiting until it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.file("stdout").open("ab") as stdout, self.file("stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "turnstream", "up", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.environ,
                cwd=self.directory,
                # Ctrl-C at the tests must not reach it; a test sends SIGINT itself.
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait for the `ready` line and read the URL from it."""
        deadline = time.monotonic() + READY_SECONDS
        while not (line := self.stdout).endswith("\n"):
            if self.process.poll() is not None:
                raise AssertionError(f"turnstream up ended:\n{self.logs}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready after {READY_SECONDS} s:\n{self.logs}")
            time.sleep(0.05)
        self.url = line.split()[1]

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and all its children; kill what does not end in time."""
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for left in psutil.wait_procs(family, timeout=STOP_SECONDS)[1]:
            left.kill()

    def family(self) -> list[psutil.Process]:
        """Return all descendants of this `up`."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def child(self, command: str) -> psutil.Process:
        """Return the `serve`, `worker` or `redis` process itself, not its guard."""
        for process in self.family():
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if any("guard.py" in word for word in line):
                continue
            # A Redis server rewrites its command line.
            if line[-1:] == [command] or (command == "redis" and "-server" in "".join(line)):
                return process
        raise AssertionError(f"no {command} process:\n{self.logs}")

    def answers(self) -> bool:
        """Return whether /readyz says that a turn can be answered."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                return response.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path: str) -> Any:
        """GET a path and return its JSON."""
        with urllib.request.urlopen(self.url + path, timeout=READY_SECONDS) as response:
            return json.load(response)

    def ask(self, text: str) -> dict[str, Any]:
        """Ask for one short turn over HTTP and return the response."""
        body = json.dumps({"input": text, "max_output_tokens": 8})
        return self.post("/v1/responses", body.encode())

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """POST JSON to a path and return the JSON that comes back."""
        request = urllib.request.Request(
            self.url + path,
            data=body,
            headers={"Content-Type": "application/json", "Authorization": "Bearer test"},
        )
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def file(self, name: str) -> Path:
        return self.directory / f"up.{name}"

    @property
    def stdout(self) -> str:
        return self.file("stdout").read_text()

    @property
    def logs(self) -> str:
        return self.file("stdout").read_text() + self.file("stderr").read_text()
