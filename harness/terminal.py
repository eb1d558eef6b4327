"""Runs a program in a pseudo-terminal and keeps what a person would see there.

The screen understands what prompt_toolkit, rich and our own code write, and raises on anything
else: what it does not know would make it show something else than a terminal does.
"""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from wcwidth import wcwidth

#: Timeout of each wait, for a busy machine.
TIMEOUT_SECONDS = 60.0

_SEQUENCE = re.compile(
    r"\x1b(?:\[(?P<args>[0-9;?]*)(?P<end>[@-~])|\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)|[=>])"
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell looks."""

    colour: str = ""
    background: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False


PLAIN = Style()
Cell = tuple[str, Style]
_BLANK: Cell = (" ", PLAIN)
_ON = {"1": "bold", "2": "dim", "3": "italic", "4": "underline"}
_OFF = {"22": ("bold", "dim"), "23": ("italic",), "24": ("underline",)}


class Screen:
    """The cells of a terminal, and the lines that have left it at its top."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cells: list[list[Cell]] = [self._blank() for _ in range(rows)]
        self.scrolled: list[str] = []
        self.row = self.column = 0
        self.cursor_shown = True
        #: How often a cell's character was replaced by another, blank ones not counted.
        self.rewritten = 0
        #: What the terminal answers: where its cursor is.
        self.reply = ""
        #: What `OSC 52` put into the clipboard, as base64.
        self.clipboard = ""
        self._style = PLAIN
        self._rest = ""

    def feed(self, text: str) -> None:
        """Write what a program has written."""
        text = self._rest + text
        self._rest, at = "", 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif match := _SEQUENCE.match(text, at):
                self._obey(match)
                at = match.end()
            elif len(text) - at > 10_000:
                raise AssertionError(f"an escape sequence without an end: {text[at : at + 40]!r}")
            else:
                self._rest = text[at:]
                return

    @property
    def lines(self) -> list[str]:
        """The text of each row, without spaces at its end."""
        return ["".join(char for char, _ in row).rstrip() for row in self.cells]

    @property
    def text(self) -> str:
        """All that is shown and was scrolled away, without empty lines at the end."""
        return "\n".join([*self.scrolled, *self.lines]).rstrip()

    def _blank(self) -> list[Cell]:
        return [_BLANK] * self.columns

    def _put(self, char: str) -> None:
        match char:
            case "\r":
                self.column = 0
            case "\n":
                self._down()
            case "\b":
                self.column = max(0, self.column - 1)
            case "\a":
                pass
            case _ if (width := wcwidth(char)) > 0:
                if self.column + width > self.columns:
                    self.column = 0
                    self._down()
                row = self.cells[self.row]
                before = row[self.column][0]
                self.rewritten += before not in (" ", char)
                row[self.column] = (char, self._style)
                for place in range(self.column + 1, self.column + width):
                    row[place] = ("", self._style)
                self.column += width
            case _ if width == 0:
                at = max(0, self.column - 1)
                base, style = self.cells[self.row][at]
                self.cells[self.row][at] = (base + char, style)
            case _:
                raise AssertionError(f"a control character: {char!r}")

    def _down(self) -> None:
        if self.row + 1 < self.rows:
            self.row += 1
            return
        self.scrolled.append(self.lines[0])
        del self.cells[0]
        self.cells.append(self._blank())

    def _obey(self, match: "re.Match[str]") -> None:
        osc, end = match["osc"], match["end"]
        if osc is not None:
            if osc.startswith("52;c;"):
                self.clipboard = osc[5:]
            return
        if end is None:
            return
        args = match["args"]
        if args.startswith("?"):
            if args == "?25":
                self.cursor_shown = end == "h"
            return
        number = int(args.split(";")[0] or 0)
        match end:
            case "A":
                self.row = max(0, self.row - max(1, number))
            case "B":
                self.row = min(self.rows - 1, self.row + max(1, number))
            case "C":
                self.column = min(self.columns - 1, self.column + max(1, number))
            case "D":
                self.column = max(0, min(self.column, self.columns - 1) - max(1, number))
            case "H":
                row, _, column = args.partition(";")
                self.row, self.column = max(1, int(row or 1)) - 1, max(1, int(column or 1)) - 1
            case "J":
                if number == 2:
                    self.cells = [self._blank() for _ in range(self.rows)]
                else:
                    self._erase_right()
                    for below in range(self.row + 1, self.rows):
                        self.cells[below] = self._blank()
            case "K":
                self._erase_right()
            case "m":
                self._style = styled(self._style, args.split(";"))
            case "n":
                self.reply += f"\x1b[{self.row + 1};{min(self.column, self.columns - 1) + 1}R"
            case _:
                raise AssertionError(f"an unknown escape sequence: {match[0]!r}")

    def _erase_right(self) -> None:
        row = self.cells[self.row]
        row[self.column :] = [_BLANK] * (self.columns - min(self.column, self.columns))


def styled(style: Style, codes: Sequence[str]) -> Style:
    """Return a style after the codes of an SGR sequence."""
    left = list(codes)
    while left:
        code = left.pop(0).lstrip("0")
        if not code:
            style = PLAIN
        elif code in _ON:
            style = replace(style, **{_ON[code]: True})
        elif code in _OFF:
            style = replace(style, **dict.fromkeys(_OFF[code], False))
        elif code in ("38", "48"):
            colour = ";".join(left[: 2 if left[0] == "5" else 4])
            del left[: 2 if left[0] == "5" else 4]
            style = replace(style, **{"colour" if code == "38" else "background": colour})
        elif code == "39":
            style = replace(style, colour="")
        elif code == "49":
            style = replace(style, background="")
        elif code[:-1] in ("3", "9"):
            style = replace(style, colour=code)
        elif code[:-1] in ("4", "10"):
            style = replace(style, background=code)
    return style


class Terminal:
    """A program in a pseudo-terminal; a context manager."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        rows: int = 40,
        columns: int = 80,
        watch: Callable[[Screen], None] | None = None,
    ) -> None:
        """Start a program.

        Args:
            watch: is called whenever the program has written something.
        """
        self.screen = Screen(rows, columns)
        self._watch = watch
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environ,
            # A session of its own, whose controlling terminal this is: Ctrl-C is a signal there.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def type(self, keys: str) -> None:
        """Press keys; `\\r` is Enter, `\\x03` Ctrl-C."""
        os.write(self._master, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what the program writes within a time; return whether it wrote anything."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            written = self._decoder.decode(os.read(self._master, 65536))
        except OSError:  # the program has ended
            return False
        self.output += written
        self.screen.feed(written)
        if self.screen.reply:
            self.type(self.screen.reply)
            self.screen.reply = ""
        if self._watch is not None:
            self._watch(self.screen)
        return True

    def expect(self, text: str) -> None:
        """Wait until the screen shows a text."""
        self._wait(lambda: text in self.screen.text, text)

    def expect_at_cursor(self, text: str) -> None:
        """Wait until the cursor is shown in a line that begins with a text."""
        screen = self.screen
        self._wait(lambda: screen.cursor_shown and screen.lines[screen.row].startswith(text), text)

    def wait(self) -> int:
        """Wait until the program ends; return its exit code."""
        self._wait(lambda: self.process.poll() is not None, "the end")
        while self.read(0):
            pass
        return self.process.returncode

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"no {what!r} in:\n{self.screen.text}"
            self.read(0.02)
