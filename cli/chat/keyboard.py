"""The keyboard while nobody reads it: what is typed ahead is kept, and not echoed."""

import contextlib
import sys
import termios
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_keyboard() -> Iterator[None]:
    """Do not echo what is typed; the next prompt reads it. Ctrl-C is a signal as before."""
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
