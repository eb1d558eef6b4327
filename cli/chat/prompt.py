"""Reads what is typed: a message of several lines or a command, with history and completion."""

from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
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
            key_bindings=_keys(),
            completer=WordCompleter(commands, sentence=True),
            complete_while_typing=False,
            bottom_toolbar=self._toolbar,
            prompt_continuation=lambda width, line, wrapped: CONTINUATION,
            style=_STYLE,
            enable_open_in_editor=True,
        )

    async def read(self, text: str = "") -> str:
        """Return what was typed, without spaces around it.

        Args:
            text: what stands there already, to be edited.

        Raises:
            EOFError: Ctrl-D, or Ctrl-C twice: the person leaves.
        """
        while True:
            try:
                typed = await self._session.prompt_async(default=text)
            except KeyboardInterrupt:
                left = self._session.default_buffer.text
                if self.about_to_leave and not left:
                    raise LeftByInterrupt from None
                self.about_to_leave = not left
                text = ""
                continue
            self.about_to_leave = False
            if typed := typed.strip():
                return typed

    def _toolbar(self) -> AnyFormattedText:
        if self.about_to_leave:
            return [("", "  Ctrl-C again leaves, Ctrl-D too")]
        return [("", f"  {self._status()}")]


class LeftByInterrupt(Exception):
    """Ctrl-C was pressed twice."""


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _history(folder: Path | None) -> History:
    if folder is None:
        return InMemoryHistory()
    file = folder / "history"
    file.touch(mode=0o600)
    return FileHistory(str(file))
