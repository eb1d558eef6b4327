"""Ctrl-C stops a bulk run at any moment."""

import signal
import sys
from typing import Any

import pytest

from turnstream.cli.bulk import remembered_interrupt


class InterruptedFinaliser:
    """Raises SIGINT in its finaliser."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_python_drops_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: dropped.append(event.exc_type))
    with remembered_interrupt() as check:
        check()
        InterruptedFinaliser()
        assert dropped == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            check()


def test_an_interrupt_is_raised_at_once_and_the_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered_interrupt():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
