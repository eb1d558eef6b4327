"""Lines at the end of a terminal's output that may still change.

Nothing is erased and drawn again: of each update only lines that differ are written, over what they
replace. So text that grows does not flicker, and lines that are final stay in the scrollback.
"""

from collections.abc import Callable, Sequence

#: Asks a terminal to show what follows at once; terminals that don't know it ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class LiveRegion:
    """The changing lines; the cursor is in the row below them.

    Args:
        write: writes to the terminal and flushes.
        rows: the terminal's height.
    """

    def __init__(self, write: Callable[[str], None], rows: Callable[[], int]) -> None:
        self._write = write
        self._rows = rows
        self._shown: list[str] = []

    def begin(self) -> None:
        """Hide the cursor."""
        self._write(_HIDE_CURSOR)

    def end(self) -> None:
        """Leave the lines as they are, and show the cursor."""
        self._shown = []
        self._write(_SHOW_CURSOR)

    def update(self, final: Sequence[str], live: Sequence[str]) -> None:
        """Show lines in place of those that may change.

        Args:
            final: they come first, and never change again.
            live: they may change. None is wider than the terminal.
        """
        lines = [*final, *live]
        same = 0
        for old, new in zip(self._shown, lines, strict=False):
            if old != new:
                break
            same += 1
        # What has left the screen at its top can't be written again.
        same = max(same, len(self._shown) - (self._rows() - 1))
        changed = lines[same:]
        if changed or len(self._shown) > len(lines):
            up = len(self._shown) - same
            text = f"\x1b[{up}A" if up > 0 else ""
            text += "".join(f"{line}\x1b[K\n" for line in changed)
            if len(self._shown) > len(lines):
                text += "\x1b[J"
            self._write(f"{_BEGIN}\r{text}{_END}")
        self._shown = list(live)
