"""A log entry is one line, or lines that are seen to belong to it, whatever a client sent."""

import json
import logging
import re

import pytest

from turnstream.turns.log_lines import EscapingFormatter, JsonFormatter


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


def as_json(message: str, *, failed: Exception | None = None, **about: object) -> dict[str, object]:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "%s failed", (message,), None)
    if failed is not None:
        record.exc_info = (type(failed), failed, failed.__traceback__)
    vars(record).update(about)
    line = JsonFormatter({"worker": "w0", "model": "demo"}).format(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    entry: dict[str, object] = json.loads(line)
    return entry


def raised(text: str) -> Exception:
    try:
        try:
            raise KeyError(text)
        except KeyError as exc:
            raise ValueError(text) from exc
    except ValueError as exc:
        return exc


@pytest.mark.parametrize("sent", ['x\n{"level": "ERROR"}', "a\u2028b\x85c\rd", "\ud800", 'a"b\\'])
def test_an_entry_as_json_is_one_line_and_keeps_its_text(sent: str) -> None:
    entry = as_json(sent, turn_id=sent)

    assert entry["message"] == f"{sent} failed"
    assert entry["turn_id"] == sent


def test_an_entry_as_json_says_when_what_and_where() -> None:
    about = {"turn_id": "resp_1", "attempt": 2, "node": "n:1", "request_id": "req_1"}
    entry = as_json("it", **about)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(entry.pop("time")))
    assert entry == {
        "level": "ERROR",
        "logger": "n",
        "message": "it failed",
        "worker": "w0",
        "model": "demo",
        **about,
    }
    assert "node" not in as_json("it", node="")


def test_the_text_of_an_exception_is_left_out_where_somebody_may_have_said_it() -> None:
    failed = raised("my secret question")

    about_a_turn = as_json("it", failed=failed, turn_id="resp_1")
    of_the_process = as_json("it", failed=failed)

    assert "secret" not in json.dumps(about_a_turn)
    assert of_the_process["exception_message"] == "my secret question"
    stack = about_a_turn["exception"]
    assert isinstance(stack, list)
    assert [line for line in stack if " in " not in line] == [
        "builtins.KeyError",
        "builtins.ValueError",
    ]
    assert stack[1].endswith(" in raised")
