"""Front ends and workers at a Redis that a test breaks."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.service import ROOT

PATIENCE_SECONDS = 60.0
#: For one request; a node gives up waiting for Redis sooner.
REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A running `turnstream` command."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def says(self, words: str) -> bool:
        """Return whether it has logged these words."""
        return words in self.log.read_text()


@contextmanager
def running(command: str, directory: Path, redis_url: str, **environ: str) -> Iterator[Program]:
    """Run a command until the block ends."""
    theirs = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")} | {
        "TURNSTREAM_REDIS_URL": redis_url,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        **environ,
    }
    log = directory / f"{command}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "turnstream", command],
            env=theirs,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Program(process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def documented_user(password: str, *, key_prefix: str = "") -> str:
    """Return the command of docs/redis.md that makes the user of an installation."""
    text = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
    [rule] = re.findall(r"^ +redis-cli (ACL SETUSER turnstream (?:.*\\\n)*.*)$", text, re.MULTILINE)
    words = shlex.split(rule.replace("PASSWORD", password))
    if key_prefix:
        commands = [word for word in words if word[0] not in "~&"]
        words = [*commands, f"~{key_prefix}*", f"&{key_prefix}*"]
        words[2] = key_prefix.rstrip(":")
    return " ".join(words)


def asked(url: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Request a URL and return status and JSON; the status is 0 while nothing listens."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.load(exc)
    except (urllib.error.URLError, ConnectionError):
        return 0, {}


def eventually(
    claim: Callable[[], bool], *programs: Program, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until a claim is true, while these programs run."""
    deadline = time.monotonic() + seconds
    while not claim():
        logs = "\n".join(program.log.read_text() for program in programs)
        assert time.monotonic() < deadline, logs
        assert all(program.process.poll() is None for program in programs), logs
        time.sleep(0.05)
