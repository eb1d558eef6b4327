"""Records `turnstream chat` with a real service, as docs/images/chat.svg.

python -m scripts.chat_recording [--out FILE]

Others ask before it, so that the place in the queue is seen, and its connection is cut.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import end_on_sigterm
from harness.proxy import Proxy
from harness.service import ROOT, Service
from harness.terminal import Screen, Terminal
from scripts.terminal_svg import Recording
from turnstream.client import AsyncClient

OUT = ROOT / "docs" / "images" / "chat.svg"
TITLE = (
    "turnstream chat: two questions; the second one waits in the queue, its answer goes on after"
    " a lost connection, and is stopped"
)
ROWS, COLUMNS = 24, 78
#: Between two keys, and before Enter.
KEY_SECONDS, PAUSE_SECONDS = 0.045, 0.5
#: Turns of others before ours, and their lengths.
BEFORE, THEIR_TOKENS = 3, 80
FIRST, SECOND = "Do you know the Titanic movie?", "Tell me a story about a cat."
#: Of the answer to the second question, before it is stopped.
LAST_WORD = "cold."
CUT_SECONDS = 1.4


class Studio:
    """A terminal that is recorded while keys are pressed."""

    def __init__(self, url: str, data: Path) -> None:
        self.recording = Recording(ROWS, COLUMNS)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TURNSTREAM_")}
        environ |= {
            "COLORTERM": "",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "TURNSTREAM_CHAT_TEMPERATURE": "0",
            "XDG_DATA_HOME": str(data),
        }
        command = (sys.executable, "-P", "-m", "turnstream", "chat", "--url", url)
        self.terminal = Terminal(
            command, environ=environ, rows=ROWS, columns=COLUMNS, watch=self._watch
        )
        self._begun = 0.0

    def _watch(self, screen: Screen) -> None:
        if self._begun:
            self.recording.add(time.monotonic() - self._begun, screen)

    async def begin(self) -> None:
        """Wait for the first prompt; the recording begins with it."""
        await asyncio.to_thread(self.terminal.expect_at_cursor, "❯")
        self._begun = time.monotonic()
        self._watch(self.terminal.screen)

    async def let(self, seconds: float) -> None:
        """Record for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.to_thread(self.terminal.read, left)

    async def type(self, text: str) -> None:
        """Press the keys of a line, and Enter."""
        for key in text:
            self.terminal.type(key)
            await self.let(KEY_SECONDS)
        await self.let(PAUSE_SECONDS)
        self.terminal.type("\r")

    async def until(self, text: str) -> None:
        """Record until a text is shown."""
        await asyncio.to_thread(self.terminal.expect, text)


async def record(url: str, data: Path) -> str:
    """Play both questions and return the SVG."""
    async with Proxy(int(url.rpartition(":")[2])) as proxy, AsyncClient(url) as others:
        studio = Studio(f"http://127.0.0.1:{proxy.port}", data)
        with studio.terminal:
            await studio.begin()
            await studio.let(0.8)
            await studio.type(FIRST)
            await studio.until("iceberg.")
            await studio.let(1.5)
            turns = [
                await others.create(input="Write a long story.", max_output_tokens=THEIR_TOKENS)
                for _ in range(BEFORE)
            ]
            await studio.type(SECOND)
            await studio.until("place")
            await studio.until("Once")
            await studio.let(1.0)
            proxy.refusing = True
            proxy.cut()
            await studio.until("reconnecting")
            await studio.let(CUT_SECONDS)
            proxy.refusing = False
            await studio.until(LAST_WORD)
            studio.terminal.type("\x03")
            await studio.until("stopped")
            await asyncio.to_thread(studio.terminal.expect_at_cursor, "❯")
            await studio.let(0.5)
        for turn in turns:
            await turn.response()
    return studio.recording.svg(TITLE)


def main() -> None:
    """Write the recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    out: Path = parser.parse_args().out
    end_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        # One slot, so that turns wait.
        with Service(data / "service", "--slots", "1") as service:
            svg = asyncio.run(record(service.url, data))
    out.write_text(svg, encoding="utf-8")
    print(f"{out}: {len(svg.encode())} bytes")


if __name__ == "__main__":
    main()
