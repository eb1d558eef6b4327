"""Ctrl-C is heard wherever it comes."""

import signal
import sys
from typing import Any

import pytest

from turnstream.cli.interrupt import remembered_interrupt


class Untidy:
    """Somebody presses Ctrl-C while it is cleaned up."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_python_drops_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: dropped.append(told.exc_type))
    with remembered_interrupt() as check:
        check()
        Untidy()
        assert dropped == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            check()


def test_an_interrupt_that_is_not_dropped_comes_at_once_and_is_nobody_elses_later() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), remembered_interrupt():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
