"""The line that is typed while an answer is written.

The terminal belongs to the answer then, so keys are only read here and `AnswerView` shows them.
Ctrl-C stays a signal: the terminal is not in raw mode.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator

from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

#: Ask a terminal to say where a paste begins and ends.
_BEGIN_PASTES, _END_PASTES = "\x1b[?2004h", "\x1b[?2004l"


class TypedLine:
    """What was typed so far.

    Args:
        text: what stands there already.
        changed: called with the text after each change.
        entered: called with each text that Enter ends.
    """

    def __init__(
        self, text: str, changed: Callable[[str], None], entered: Callable[[str], None]
    ) -> None:
        self.text = text
        #: Whether Ctrl-D was pressed at an empty line.
        self.ended = False
        self._changed = changed
        self._entered = entered
        self._after_escape = False

    @contextlib.contextmanager
    def reading(self, write: Callable[[str], None]) -> Iterator[None]:
        """Read keys until the block ends, in the running event loop.

        Args:
            write: writes to the terminal.
        """
        source = create_input(sys.stdin)
        write(_BEGIN_PASTES)
        try:
            with source.attach(lambda: self.take(source.read_keys())):
                yield
        finally:
            write(_END_PASTES)

    def take(self, presses: list[KeyPress]) -> None:
        """Take keys that were pressed."""
        for press in presses:
            after_escape, self._after_escape = self._after_escape, False
            match press.key:
                case Keys.Escape:
                    self._after_escape = True
                case Keys.ControlM | Keys.ControlJ if after_escape:
                    self._set(self.text + "\n")
                case Keys.ControlM | Keys.ControlJ:
                    self._enter()
                case Keys.ControlH:
                    self._set(self.text[:-1])
                case Keys.ControlU:
                    self._set("")
                case Keys.ControlW:
                    self._set(
                        self.text.rstrip()[: -len(self.text.split()[-1])]
                        if self.text.strip()
                        else ""
                    )
                case Keys.ControlD:
                    self.ended = self.ended or not self.text
                case Keys.BracketedPaste:
                    pasted = press.data.replace("\r\n", "\n").replace("\r", "\n")
                    self._set(self.text + pasted)
                case Keys():
                    pass
                case _:
                    self._set(self.text + press.data)

    def _enter(self) -> None:
        text = self.text.strip()
        self._set("")
        if text:
            self._entered(text)

    def _set(self, text: str) -> None:
        self.text = text
        self._changed(text)
