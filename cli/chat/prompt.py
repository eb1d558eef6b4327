"""Reads what is typed: a message of several lines or a command, with history and completion."""

from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

_STYLE = Style.from_dict(
    {
        "prompt": "bold ansicyan",
        "bottom-toolbar": "noreverse ansibrightblack",
        "bottom-toolbar.text": "",
    }
)
PROMPT, CONTINUATION = "❯ ", "  "


class Prompt:
    """The line where people type."""

    def __init__(self, folder: Path | None, commands: list[str], status: Callable[[], str]) -> None:
        #: Whether Ctrl-C was pressed at an empty line just now.
        self.about_to_leave = False
        self._status = status
        self._session: PromptSession[str] = PromptSession(
            [("class:prompt", PROMPT)],
            history=_history(folder),
            multiline=True,
            key_bindings=self._keys(),
            completer=WordCompleter(commands, sentence=True),
            complete_while_typing=False,
            # A menu would keep lines free for itself, between the prompt and the status.
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            bottom_toolbar=self._toolbar,
            prompt_continuation=lambda width, line, wrapped: CONTINUATION,
            style=_STYLE,
            enable_open_in_editor=True,
        )
        self._session.default_buffer.on_text_changed += self._forget_leaving

    async def read(self, text: str = "") -> str:
        """Return what was typed, without spaces around it.

        Args:
            text: what stands there already, to be edited.

        Raises:
            EOFError: Ctrl-D.
            LeftByInterrupt: Ctrl-C twice.
        """
        while True:
            typed = (await self._session.prompt_async(default=text, handle_sigint=False)).strip()
            if typed:
                return typed

    def interrupt(self) -> None:
        """Take a Ctrl-C that came before the prompt read keys."""
        self.about_to_leave = True
        self._session.app.invalidate()

    def _toolbar(self) -> AnyFormattedText:
        if self.about_to_leave:
            return [("", "  Ctrl-C again leaves, Ctrl-D too")]
        return [("", f"  {self._status()}")]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self.about_to_leave:
                event.app.exit(exception=LeftByInterrupt)
            else:
                self.about_to_leave = True

        return keys

    def _forget_leaving(self, buffer: Buffer) -> None:
        self.about_to_leave = False


class LeftByInterrupt(Exception):
    """Ctrl-C was pressed twice."""


def _history(folder: Path | None) -> History:
    if folder is None:
        return InMemoryHistory()
    file = folder / "history"
    file.touch(mode=0o600)
    return FileHistory(str(file))
