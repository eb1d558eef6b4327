"""Runs the commands of `turnstream chat`; what they are called is in `commands.py`."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from turnstream.cli.chat.clipboard import copy
from turnstream.cli.chat.conversation import Conversation, Exchange, read_back
from turnstream.cli.chat.saved import CannotSave, SavedConversation, title_of
from turnstream.cli.chat.screen import age
from turnstream.cli.chat.settings import read_temperature
from turnstream.client import ClientError

if TYPE_CHECKING:
    from turnstream.cli.chat.session import Session

#: Conversations that `/list` shows.
LISTED = 15


class Leave(Exception):
    """The person leaves."""


class CommandRunner:
    """Runs commands of one session."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._screen = session.screen
        #: What `/list` showed last, so that its numbers stay right.
        self._listed: list[SavedConversation] = []

    async def greet(self, *, resume: bool) -> None:
        """Say who answers, and go on with the latest conversation or offer it."""
        latest = self._saved()[:1]
        if resume and latest:
            await self._open("")
            return
        self._screen.say("Ask something, or type /help.")
        for each in latest:
            self._screen.say(f"/open goes on with “{each.title}”")
        self._screen.space()

    async def run(self, name: str, argument: str) -> None:
        """Run a command.

        Raises:
            Leave
        """
        try:
            match name:
                case "help":
                    self._screen.help()
                case "new":
                    self._session.conversation = Conversation()
                    self._screen.say("A new conversation.")
                case "list":
                    self._list()
                case "open":
                    await self._open(argument)
                case "regenerate":
                    await self._regenerate()
                case "edit":
                    await self._edit()
                case "system":
                    self._system(argument)
                case "model":
                    await self._model(argument)
                case "temperature":
                    self._temperature(argument)
                case "save":
                    await self._save(argument)
                case "copy":
                    await self._copy()
                case "quit" | "exit":
                    raise Leave
                case _:
                    self._screen.problem(f"There is no /{name}; /help lists what there is.")
        except ClientError as exc:
            self._screen.problem(str(exc))

    def _saved(self) -> list[SavedConversation]:
        if self._session.saved is None:
            return []
        try:
            return self._session.saved.all()
        except CannotSave as exc:
            self._screen.problem(f"Conversations are not saved: {exc}")
            self._session.saved = None
            return []

    def _list(self) -> None:
        self._listed = self._saved()[:LISTED]
        if not self._listed:
            self._screen.say("No conversation is saved yet.")
            return
        self._screen.conversations(self._listed, self._session.conversation.id)

    async def _open(self, which: str) -> None:
        if which.startswith("resp_"):
            await self._show(Conversation(), which)
            return
        listed = self._listed if which and self._listed else self._saved()
        if not which:
            listed = [each for each in listed if each.id != self._session.conversation.id]
        number = which or "1"
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(listed)):
            said = "There is no such conversation" if which else "There is no other conversation"
            self._screen.problem(f"{said}; /list shows those that are saved.")
            return
        chosen = listed[int(number) - 1]
        self._screen.say(f"{chosen.title}, {age(time.time() - chosen.updated)}")
        self._screen.space()
        await self._show(Conversation(id=chosen.id, title=chosen.title), chosen.last)

    async def _show(self, conversation: Conversation, last: str) -> None:
        """Print a conversation, and read on its last answer if it is not whole."""
        session = self._session
        exchanges = await read_back(session.client, last)
        conversation.exchanges = [each for each in exchanges if not each.running]
        conversation.title = conversation.title or title_of(exchanges[0].question)
        session.conversation = conversation
        for each in exchanges:
            self._screen.exchange(each)
            if each.running:
                turn = await session.client.resume(each.response_id)
                await session.follow(turn, each.question, each.previous)

    async def _regenerate(self) -> None:
        if (last := self._last()) is not None:
            await self._session.ask(last.question, instead_of=last)

    async def _edit(self) -> None:
        last = self._last()
        if last is None:
            return
        try:
            question = await self._session.read(last.question)
        except EOFError:
            self._screen.say("The question stays as it was.")
            return
        await self._session.ask(question, instead_of=last)

    def _last(self) -> Exchange | None:
        exchanges = self._session.conversation.exchanges
        if not exchanges:
            self._screen.problem("There is no question yet.")
            return None
        return exchanges[-1]

    def _system(self, text: str) -> None:
        if text:
            self._session.system = "" if text == "default" else text
        shown = self._session.system or "the server's default"
        self._screen.say(f"System text: {shown}")

    async def _model(self, name: str) -> None:
        models = await self._session.client.models()
        if name in models:
            self._session.model = name
        elif name:
            self._screen.problem(f"No model is called {name}.")
        for each in models:
            self._screen.say(f"{'●' if each == self._session.model else ' '} {each}")

    def _temperature(self, value: str) -> None:
        try:
            if value:
                number = None if value == "default" else read_temperature(value)
                self._session.temperature = number
        except ValueError as exc:
            self._screen.problem(f"The temperature {exc}.")
            return
        shown = self._session.temperature
        said = "the model's default" if shown is None else f"{shown:g}"
        self._screen.say(f"Temperature: {said}")

    async def _save(self, name: str) -> None:
        conversation = self._session.conversation
        if not conversation.exchanges:
            self._screen.problem("There is nothing to save yet.")
            return
        name = name or f"{_file_name(conversation.title)}.md"
        try:
            path = await asyncio.to_thread(_write_new, name, conversation.markdown())
        except OSError as exc:
            self._screen.problem(f"{exc.filename}: {exc.strerror}")
            return
        self._screen.say(f"Saved as {path}.")

    async def _copy(self) -> None:
        exchanges = self._session.conversation.exchanges
        if not exchanges:
            self._screen.problem("There is no answer yet.")
            return
        self._screen.say(await asyncio.to_thread(copy, exchanges[-1].answer))


def _file_name(title: str) -> str:
    kept = "".join(char if char.isalnum() else "-" for char in title.lower())
    return "-".join(filter(None, kept.split("-")))[:40] or "conversation"


def _write_new(name: str, text: str) -> Path:
    path = Path(name).expanduser()
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
