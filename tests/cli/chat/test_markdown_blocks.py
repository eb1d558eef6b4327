"""Markdown in blocks: whatever the pieces, the blocks are those of the whole text."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from turnstream.cli.chat.markdown_blocks import ChatMarkdown, MarkdownBlocks

TEXT = """\
# Heading

A paragraph
of two lines with **bold** text.

- one
- two

  and its second paragraph

| a | b |
|---|---|
| 1 | 2 |

```python
def f():

    return 1
```

1. first
2. second

Title
=====
> quoted
> text
end
"""
BLOCKS = [
    "# Heading\n",
    "A paragraph\nof two lines with **bold** text.\n",
    "- one\n- two\n\n  and its second paragraph\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "```python\ndef f():\n\n    return 1\n```\n",
    "1. first\n2. second\n",
    "Title\n=====",
    "> quoted\n> text\nend\n",
]


def rendered(markup: str) -> str:
    console = Console(file=io.StringIO(), width=60, color_system=None)
    console.print(ChatMarkdown(markup))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


@given(st.lists(st.integers(0, len(TEXT)), max_size=40))
def test_the_blocks_do_not_depend_on_how_the_text_was_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TEXT)]
    blocks = MarkdownBlocks()
    final = [block for begin, end in pairwise(places) for block in blocks.feed(TEXT[begin:end])]
    final += blocks.finish()

    assert [block.strip("\n") for block in final] == [block.strip("\n") for block in BLOCKS]


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("a\nb", "a\nb"),
        ("<b>x</b> and <think>", "<b>x</b> and <think>"),
        ("<div>\nkept\n</div>", "<div>\nkept\n</div>"),
        ("# One", "One"),
        ("3. c\n4. d", " 3 c\n 4 d"),
        ("$a_1 + b_1$", "$a_1 + b_1$"),
    ],
)
def test_nothing_of_an_answer_is_dropped(markup: str, shown: str) -> None:
    assert rendered(markup).strip("\n") == shown


def test_an_answer_cannot_control_the_terminal() -> None:
    blocks = MarkdownBlocks()
    blocks.feed("a\x1b[2Jb\x07\x9bc\rd\te")

    assert blocks.last == "a\ufffd[2Jb\ufffd\ufffdcd\te"
