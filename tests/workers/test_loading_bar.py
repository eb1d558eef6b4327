"""The progress of loading, for a terminal and for others."""

import sys

import pytest

from turnstream.workers.loading_bar import loading_bar


def test_progress_is_passed_on_and_a_log_gets_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    reported: list[float] = []
    with loading_bar(reported.append) as progress:
        progress(0.25)
        progress(1.0)
    assert reported == [0.25, 1.0]
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with loading_bar(lambda _: None) as progress:
        progress(0.5)
    assert "loading" in capsys.readouterr().err
