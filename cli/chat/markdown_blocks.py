"""Markdown that is still being written, in blocks: what is final, and what may change.

Only the last block can change with further text; so only it is parsed again. HTML is shown as it
is written, and so are line ends, as chat answers mean them.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.syntax import Syntax

#: Control characters could move the cursor or change the terminal; an answer has no use for them.
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROLS[ord("\r")] = ""


def printable(text: str) -> str:
    """Return text without what could change the terminal."""
    return text.translate(_CONTROLS)


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


class MarkdownBlocks:
    """An answer's text so far, divided into blocks."""

    def __init__(self) -> None:
        #: The block that may change.
        self.last = ""
        self._parser = _parser()

    def feed(self, text: str) -> list[str]:
        """Add text; return the blocks that have become final."""
        self.last += printable(text)
        if "\n" not in text:
            return []
        # A line that is not whole may yet turn out to continue the block before it.
        whole = self.last[: self.last.rindex("\n") + 1]
        starts = [
            token.map[0]
            for token in self._parser.parse(whole)
            if token.level == 0 and token.nesting >= 0 and token.map
        ]
        if len(starts) < 2:
            return []
        lines = self.last.split("\n")
        self.last = "\n".join(lines[starts[-1] :])
        return ["\n".join(lines[start:end]) for start, end in pairwise(starts)]

    def finish(self) -> list[str]:
        """Return what is left as blocks, because no text follows."""
        last, self.last = self.last, ""
        return [last] if last.strip() else []


class LeftHeading(Heading):
    """A heading at the left, as all else is."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class PlainCodeBlock(CodeBlock):
    """A block of code in the terminal's own colours, without a box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            str(self.text).rstrip(),
            self.lexer_name,
            theme="ansi_dark",
            word_wrap=True,
            padding=(0, 2),
        )


class ChatMarkdown(Markdown):
    """Markdown of a chat answer."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": LeftHeading,
        "fence": PlainCodeBlock,
        "code_block": PlainCodeBlock,
    }

    def __init__(self, markup: str) -> None:
        super().__init__("")
        self.markup = markup
        self.parsed = _parser().parse(markup)
        _keep_line_ends(self.parsed)


def _keep_line_ends(tokens: Iterable[Token]) -> None:
    for token in tokens:
        if token.type == "softbreak":
            token.type = "hardbreak"
        _keep_line_ends(token.children or ())
