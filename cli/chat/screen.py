"""What the conversation prints beside answers: greetings, lists and notices."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnstream.cli.chat.answer_view import MARGIN, AnswerView, PlainView
from turnstream.cli.chat.commands import COMMANDS, KEYS
from turnstream.cli.chat.conversation import Exchange
from turnstream.cli.chat.markdown_blocks import printable
from turnstream.cli.chat.prompt import CONTINUATION, PROMPT
from turnstream.cli.chat.saved import SavedConversation

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Screen:
    """The terminal's output."""

    def __init__(self, console: Console) -> None:
        self.console = console
        #: Whether the last line is empty.
        self.is_apart = False

    def answer(self) -> AnswerView | PlainView:
        """Return where the next answer appears."""
        self.is_apart = False
        return (
            PlainView(self.console) if self.console.is_dumb_terminal else AnswerView(self.console)
        )

    def say(self, text: str, *, style: str = "bright_black") -> None:
        """Print a notice."""
        self.is_apart = False
        for line in printable(text).splitlines():
            self.console.print(Text(MARGIN + line, style=style))

    def problem(self, text: str) -> None:
        """Print what went wrong."""
        self.say(text, style="yellow")

    def space(self) -> None:
        """Print an empty line, unless there is one."""
        if not self.is_apart:
            self.console.print()
        self.is_apart = True

    def exchange(self, exchange: Exchange) -> None:
        """Print an earlier question and its answer."""
        self.question(exchange.question)
        if exchange.answer:
            view = self.answer()
            with view.shown():
                view.add(exchange.answer, "")
        if exchange.note:
            self.space()
            self.problem(exchange.note)
        if not exchange.running:
            self.space()

    def question(self, text: str) -> None:
        """Print a question as the prompt shows it."""
        self.is_apart = False
        shown = printable(text).replace("\n", f"\n{CONTINUATION}")
        self.console.print(Text.assemble((PROMPT, "bold cyan"), shown))
        self.space()

    def conversations(self, saved: Sequence[SavedConversation], current: str) -> None:
        """List conversations with their numbers."""
        self.is_apart = False
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right")
        for number, each in enumerate(saved, 1):
            mark = "●" if each.id == current else " "
            grid.add_row(
                Text(f"{MARGIN}{number}", "cyan"),
                Text(f"{mark} {printable(each.title)}"),
                Text(age(time.time() - each.updated), "bright_black"),
            )
        self.console.print(grid)

    def help(self) -> None:
        """List commands and keys."""
        self.is_apart = False
        grid = Table.grid(padding=(0, 2))
        for command in COMMANDS:
            name = Text.assemble(f"{MARGIN}/{command.name} ", (command.argument, "bright_black"))
            grid.add_row(name, Text(command.meaning, "bright_black"))
        grid.add_row()
        for key, meaning in KEYS:
            grid.add_row(f"{MARGIN}{key}", Text(meaning, "bright_black"))
        self.console.print(grid)


def age(seconds: float) -> str:
    """Return how long ago something was."""
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{int(seconds / _MINUTE)} min ago"
    if seconds < _DAY:
        return f"{int(seconds / _HOUR)} h ago"
    days = int(seconds / _DAY)
    return "yesterday" if days == 1 else f"{days} days ago"
