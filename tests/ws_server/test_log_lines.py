"""A log entry is one line, or lines that are seen to belong to it, whatever a client sent."""

import logging

import pytest

from turnstream.ws_server.log_lines import EscapingFormatter


def written(message: str, *, failed: Exception | None = None) -> str:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "%s failed", (message,), None)
    if failed is not None:
        record.exc_info = (type(failed), failed, None)
    return EscapingFormatter("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\rb", "a\\rb"),
        ("a\x85b", "a\\x85b"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("a\u202eb", "a\\u202eb"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\ud800", "\\ud800"),
        ("/v1/日本語 é\t", "/v1/日本語 é\t"),
    ],
)
def test_control_characters_are_escaped_and_others_are_not(sent: str, shown: str) -> None:
    assert written(sent) == f"ERROR {shown} failed"


def test_no_line_of_a_message_or_a_traceback_begins_like_an_entry() -> None:
    forged = "x\nERROR all is lost"
    lines = written(forged, failed=ValueError(forged)).split("\n")

    assert len(lines) == 4
    assert [line for line in lines if not line.startswith("    ")] == ["ERROR x"]
