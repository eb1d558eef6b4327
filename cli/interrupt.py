"""Ctrl-C that is heard, even where Python forgets it.

A KeyboardInterrupt that is raised while an object is cleaned up is printed and dropped. So it is
remembered as well, and who waits for long asks.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def remembered_interrupt() -> Iterator[Callable[[], None]]:
    """For a while, remember Ctrl-C; gives what raises KeyboardInterrupt once it was pressed."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
