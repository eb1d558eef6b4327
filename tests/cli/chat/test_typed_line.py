"""Keys that are pressed while an answer is written become a line."""

import pytest
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress

from turnstream.cli.chat.typed_line import TypedLine


def typed(keys: str, text: str = "") -> tuple[TypedLine, list[str]]:
    """Press keys; return the line and what was entered."""
    presses: list[KeyPress] = []
    parser = Vt100Parser(presses.append)
    parser.feed(keys)
    parser.flush()
    entered: list[str] = []
    line = TypedLine(text, lambda text: None, entered.append)
    line.take(presses)
    return line, entered


@pytest.mark.parametrize(
    ("keys", "text", "entered"),
    [
        ("Hi", "Hi", []),
        ("Hi\r", "", ["Hi"]),
        ("Hi\nThere\n", "", ["Hi", "There"]),
        (" \r", "", []),
        ("Hix\x7f!", "Hi!", []),
        ("one two\x17three", "one three", []),
        ("all\x15new", "new", []),
        ("one\x1b\rtwo\r", "", ["one\ntwo"]),
        ("\x1b[200~one\r\ntwo\x1b[201~\r", "", ["one\ntwo"]),
        ("a\x1b[Db\x1b[A\x0c", "ab", []),
        ("größer 😀\r", "", ["größer 😀"]),
    ],
)
def test_keys_make_a_line(keys: str, text: str, entered: list[str]) -> None:
    line, lines = typed(keys)

    assert (line.text, lines) == (text, entered)


def test_a_line_goes_on_from_what_stands_there() -> None:
    line, entered = typed("!\r", "Hi")

    assert (line.text, entered) == ("", ["Hi!"])


def test_ctrl_d_counts_at_an_empty_line_only() -> None:
    assert typed("\x04")[0].ended
    assert not typed("a\x04")[0].ended
