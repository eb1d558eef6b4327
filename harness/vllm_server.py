"""vLLM's own server for tests, over a checkpoint in float32 on a CPU; runs where vLLM is installed.

It starts in half a minute, most of which goes into imports.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from harness.ports import free_port

READY_SECONDS = 300.0
STOP_SECONDS = 30.0


class VllmServer:
    """One server; a context manager that waits until it answers.

    Args:
        log: the file of its output.
        scale_out: whether it has the endpoint for token ids.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        log: Path,
        context: int = 256,
        slots: int = 8,
        scale_out: bool = True,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._arguments = [
            *("--model", str(folder), "--host", "127.0.0.1", "--port", str(self.port)),
            *("--dtype", "float32", "--max-model-len", str(context), "--max-num-seqs", str(slots)),
            *("--kv-cache-memory-bytes", str(64 * 2**20), "--block-size", "32"),
            *("--scheduling-policy", "priority", "--max-logprobs", "21", "--enforce-eager"),
            *("--enable-prompt-tokens-details", "--generation-config", "vllm"),
            *(["--enable-scale-out"] if scale_out else []),
            *arguments,
        ]

    def start(self) -> None:
        """Start it without waiting until it answers."""
        environ = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_NO_USAGE_STATS": "1",
        }
        with self._log.open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            code = self.process.poll()
            if code is not None or time.monotonic() > deadline:
                why = f"gave no answer in {READY_SECONDS:g} s" if code is None else f"ended: {code}"
                raise AssertionError(f"vLLM's server {why}\n{self._log.read_text()}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill it and its processes, as a machine that loses its power."""
        family = self._family()
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)

    def metric(self, name: str) -> float:
        """Return the sum of one of its metrics over all labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=STOP_SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        family = self._family()
        if family:
            self.process.terminate()
        for process in psutil.wait_procs(family, timeout=STOP_SECONDS)[1]:
            process.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)

    def _family(self) -> list[psutil.Process]:
        try:
            return [*self.process.children(recursive=True), self.process]
        except psutil.NoSuchProcess:
            return []

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
