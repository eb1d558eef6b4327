"""Shows an answer in the terminal while it is written, with a status and what is typed below."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from turnstream.cli.chat.live_region import LiveRegion
from turnstream.cli.chat.markdown_blocks import ChatMarkdown, MarkdownBlocks, printable
from turnstream.cli.chat.prompt import PROMPT

#: Text wider than this is hard to read.
MOST_COLUMNS = 96
MARGIN = "  "
#: At most one part in so many of the time is spent drawing.
DRAWING_RATIO = 4
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
#: A status that lasts shorter than this is not shown.
QUIET_SECONDS = 0.3


class AnswerView:
    """The part of the terminal where one answer appears."""

    def __init__(self, console: Console) -> None:
        #: What is typed meanwhile.
        self.typed = ""
        self._console = console
        self._blocks = MarkdownBlocks()
        #: Blocks that are final and not drawn yet.
        self._waiting: list[str] = []
        self._next_draw = 0.0
        self._region = LiveRegion(self.write, lambda: shutil.get_terminal_size().lines)
        #: Whether a block was printed, so that a blank line goes before the next.
        self._printed = False
        self._begun = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the answer until the block ends."""
        self._region.begin()
        try:
            yield
        finally:
            self._waiting += self._blocks.finish()
            self._region.update(self._take_final(), [])
            self._region.end()

    def add(self, text: str, status: str) -> None:
        """Add text of the answer."""
        self._waiting += self._blocks.feed(text)
        # A long block takes long to draw: then it is drawn less often.
        if time.monotonic() >= self._next_draw:
            self.refresh(status)

    def refresh(self, status: str) -> None:
        """Show another status."""
        begun = time.monotonic()
        self._draw(status)
        now = time.monotonic()
        self._next_draw = now + (now - begun) * DRAWING_RATIO

    def _draw(self, status: str) -> None:
        final = self._take_final()
        live = self._lines(self._blocks.last) if self._blocks.last.strip() else []
        if live and self._printed:
            live.insert(0, "")
        below = self._status(status, apart=self._printed or bool(live))
        self._region.update(final, [*live, *below, *self._typed_line()])

    def _status(self, status: str, *, apart: bool) -> list[str]:
        passed = time.monotonic() - self._begun
        if not status or passed < QUIET_SECONDS:
            return []
        frame = _SPINNER[int(passed * 10) % len(_SPINNER)]
        line = Text.assemble((f"{frame} ", "cyan"), (status, "bright_black"))
        line.truncate(self._width, overflow="ellipsis")
        return [*([""] if apart else []), *self._rendered(line)]

    def _typed_line(self) -> list[str]:
        if not self.typed:
            return []
        shown = printable(self.typed).replace("\n", " ")
        # Its end is what is being typed.
        while cell_len(shown) > self._width - cell_len(PROMPT):
            shown = shown[1:]
        return ["", *self._rendered(Text.assemble((PROMPT, "bold cyan"), shown))]

    def _take_final(self) -> list[str]:
        """Return the lines of blocks that have become final."""
        lines: list[str] = []
        blocks, self._waiting = self._waiting, []
        for block in blocks:
            if self._printed:
                lines.append("")
            lines += self._lines(block)
            self._printed = True
        return lines

    def _lines(self, markup: str) -> list[str]:
        return self._rendered(ChatMarkdown(markup))

    def _rendered(self, renderable: ChatMarkdown | Text) -> list[str]:
        with self._console.capture() as captured:
            self._console.print(renderable, width=self._width)
        lines = captured.get().split("\n")
        # Some blocks come with empty lines around them; here each has one before it.
        full = [number for number, line in enumerate(lines) if _STYLE.sub("", line).strip()]
        lines = lines[full[0] : full[-1] + 1] if full else []
        return [MARGIN + line.rstrip(" ") for line in lines]

    @property
    def _width(self) -> int:
        # The last column stays empty: terminals differ in what they do after it.
        return max(10, min(self._console.width - len(MARGIN) - 1, MOST_COLUMNS))

    def write(self, text: str) -> None:
        """Write to the terminal at once."""
        self._console.file.write(text)
        self._console.file.flush()


class PlainView:
    """The same for a terminal that cannot move its cursor: text as it comes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the answer until the block ends."""
        try:
            yield
        finally:
            self._console.file.write("\n")
            self._console.file.flush()

    def add(self, text: str, status: str) -> None:
        """Write text of the answer."""
        self._console.file.write(printable(text))
        self._console.file.flush()

    def refresh(self, status: str) -> None:
        """Do nothing: a status can't be taken back here."""
