"""One run of one guarded process: started, its output shown, and ended with everything it started.

The pid here is the guard's. It leads a session of its own, so that Ctrl-C in the terminal reaches
`up` alone, and the group of that name holds the guard, the child and whatever the child starts.
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

from turnstream.cli.console import say

#: Seconds between SIGTERM and SIGKILL: a worker finishes the turns it has in this time, or gives
#: them to another worker.
GRACE_SECONDS = 10.0
#: A line that rewrites itself (a progress bar) is shown at most this often.
REWRITE_SECONDS = 2.0
#: How long to wait for the end of the output of a child that has ended.
LAST_WORDS_SECONDS = 1.0
#: Longer lines are cut into several.
LONGEST_LINE = 16_384

GUARD = str(Path(__file__).with_name("guard.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, and under which name its lines are shown."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(slots=True)
class Groups:
    """The process groups that live now, and a file that each of them keeps open."""

    #: Inherited by every guard, so that the data directory's lock outlives a killed `up` until
    #: the last of its children is gone.
    lock: int
    pids: set[int] = field(default_factory=set)

    def kill(self) -> None:
        """End everything at once."""
        for pid in self.pids:
            kill_group(pid)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    #: The exit code; 128 + n after signal n.
    code: int
    #: What it said last, which is the reason when it gave one.
    last_line: str

    def __str__(self) -> str:
        if self.code <= 128:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(self.code - 128).name}"
        except ValueError:
            return f"exit code {self.code}"


async def run(command: Command, groups: Groups) -> Ended:
    """Run a command until it ends. If cancelled, end it first: gently, then not."""
    lifeline_end, lifeline = os.pipe()
    output, output_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", GUARD, str(lifeline_end), str(GRACE_SECONDS), *command.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            env=command.environ,
            pass_fds=(lifeline_end, groups.lock),
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
            # Whoever is left, also when it was the guard that was killed.
            kill_group(process.pid)
            groups.pids.discard(process.pid)
            await asyncio.wait({showing}, timeout=LAST_WORDS_SECONDS)
            showing.cancel()
    return Ended(128 - code if code < 0 else code, shown.last_line)


@dataclass(slots=True)
class Output:
    """Shows what a child prints; of a line that rewrites itself, a state now and then."""

    name: str
    last_line: str = ""
    #: When a state of a rewritten line was shown last, on the loop's clock.
    rewritten: float = -math.inf

    async def read(self, output: int) -> None:
        """Show everything that comes out of a pipe, until it ends."""
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
        rest = b""
        while chunk := await reader.read(LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.say(line)
            if b"\r" in rest:
                rest = rest[rest.rstrip(b"\r").rfind(b"\r") + 1 :]
                now = asyncio.get_running_loop().time()
                if now - self.rewritten >= REWRITE_SECONDS:
                    self.rewritten = now
                    self.say(rest)
        if rest:
            self.say(rest)

    def say(self, line: bytes) -> None:
        text = visible(line)
        self.last_line = text or self.last_line
        say(self.name, text)


def visible(line: bytes) -> str:
    """Decode what a terminal would still show of a line."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")


def kill_group(pid: int) -> None:
    """Kill a whole process group, if any of it is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
