"""An answer on the screen: the same in whatever pieces it came, and never written twice."""

import io

import pytest
from rich.console import Console

from harness.terminal import Screen
from turnstream.cli.chat.answer_view import AnswerView

TEXT = """\
# Heading

A paragraph with **bold** text.

- one
- two

| a | b |
|---|---|
| 1 | 2 |

```python
return 1
```
Last line.
"""
SHOWN = """\
  Heading

  A paragraph with bold text.

   • one
   • two

   a  b
   ────
   1  2

    return 1

  Last line."""


class Output(io.StringIO):
    """Shows on a screen what is written."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen

    def write(self, text: str) -> int:
        self.screen.feed(text.replace("\n", "\r\n"))
        return len(text)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_screen_shows_the_whole_answer_once(size: int) -> None:
    screen = Screen(rows=40, columns=60)
    console = Console(file=Output(screen), width=60, force_terminal=True)
    view = AnswerView(console)
    with view.shown():
        for start in range(0, len(TEXT), size):
            view.add(TEXT[start : start + size], "Ctrl-C stops")
            assert not screen.cursor_shown

    assert screen.text == SHOWN
    assert screen.cursor_shown
    assert screen.scrolled == []


def test_a_status_is_below_the_text_and_leaves_no_trace() -> None:
    screen = Screen(rows=40, columns=60)
    view = AnswerView(Console(file=Output(screen), width=60, force_terminal=True))
    view._begun -= 1  # a status that lasts is shown
    with view.shown():
        view.refresh("in the queue: you are next")
        assert screen.text.endswith(" in the queue: you are next")
        view.add("A word", "Ctrl-C stops")
        view.refresh("Ctrl-C stops")
        assert [line[-12:] for line in screen.lines[:3]] == ["  A word", "", "Ctrl-C stops"]

    assert screen.text == "  A word"
