"""Runs one child process under a guard, prints its output, and ends it with all its descendants.

The pid here is the guard's. The guard leads a session of its own, so that Ctrl-C in the terminal
reaches `up` only; its process group has the guard, the child and the child's descendants.
"""

import asyncio
import contextlib
import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnstream.cli.console import log

#: Seconds between SIGTERM and SIGKILL: in this time a worker finishes or requeues its turns.
GRACE_SECONDS = 10.0
#: A line that is rewritten by carriage returns (a progress bar) is printed at most this often.
REWRITE_SECONDS = 2.0
#: Longest wait for the rest of the output of a child that has ended.
OUTPUT_SECONDS = 1.0
#: Longer lines are split.
LONGEST_LINE = 16_384

GUARD = str(Path(__file__).with_name("guard.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, and the name under which its lines are printed."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(slots=True)
class Groups:
    """The process groups that run now, and a file that each of them keeps open."""

    #: Descriptor of the data directory's lock, if there is one. Every guard inherits it, so that
    #: after `up` was killed the lock is held until its last child has ended.
    lock: int | None = None
    pids: set[int] = field(default_factory=set)

    def kill(self) -> None:
        """Kill all processes of all groups."""
        for pid in self.pids:
            kill_group(pid)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    #: The exit code; 128 + n after signal n.
    code: int
    #: Its last line of output; after an error it is the reason.
    last_line: str

    def __str__(self) -> str:
        if self.code <= 128:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(self.code - 128).name}"
        except ValueError:
            return f"exit code {self.code}"


async def run(command: Command, groups: Groups) -> Ended:
    """Run a command until it ends; on cancellation end it with SIGTERM, then SIGKILL."""
    lifeline_end, lifeline = os.pipe()
    output, output_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", GUARD, str(lifeline_end), str(GRACE_SECONDS), *command.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            env=command.environ,
            pass_fds=(lifeline_end,) if groups.lock is None else (lifeline_end, groups.lock),
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline)
        os.close(output)
        raise
    finally:
        os.close(lifeline_end)
        os.close(output_end)
    groups.pids.add(process.pid)
    shown = Output(command.name)
    async with asyncio.TaskGroup() as tasks:
        showing = tasks.create_task(shown.read(output))
        try:
            code = await process.wait()
        finally:
            os.close(lifeline)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS + 5):
                    await process.wait()
            # Descendants may be left, above all when the guard itself was killed.
            kill_group(process.pid)
            groups.pids.discard(process.pid)
            await asyncio.wait({showing}, timeout=OUTPUT_SECONDS)
            showing.cancel()
    return Ended(128 - code if code < 0 else code, shown.last_line)


@dataclass(slots=True)
class Output:
    """Prints the output of a child; of a rewritten line, only some states."""

    name: str
    last_line: str = ""
    #: When a state of a rewritten line was printed last, on the loop's clock.
    rewritten: float = -math.inf

    async def read(self, output: int) -> None:
        """Print everything that is read from a pipe, until its end."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        with os.fdopen(output, "rb", buffering=0) as pipe:
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            try:
                await self.show(reader)
            finally:
                transport.close()

    async def show(self, reader: asyncio.StreamReader) -> None:
        """Split what is read into lines and print them."""
        rest = b""
        while chunk := await reader.read(LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.print_line(line)
            if b"\r" in rest:
                rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]
                now = asyncio.get_running_loop().time()
                if now - self.rewritten >= REWRITE_SECONDS:
                    self.rewritten = now
                    self.print_line(rest)
        if rest:
            self.print_line(rest)

    def print_line(self, line: bytes) -> None:
        """Print a line and remember it as the last one."""
        text = visible(line)
        self.last_line = text or self.last_line
        log(self.name, text)


def visible(line: bytes) -> str:
    """Decode what a terminal shows of a line after its carriage returns."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


def kill_group(pid: int) -> None:
    """Kill all processes of a group that are left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
