"""The conversation in a terminal: reads a line, runs its command or has it answered, again.

An answer belongs to the server. So an interrupted terminal loses nothing: the conversation's file
has the id of a response from its first event on, and `/open` reads it on.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from turnstream.cli.chat import wording
from turnstream.cli.chat.answer_view import AnswerView, PlainView
from turnstream.cli.chat.command_runner import CommandRunner, Leave
from turnstream.cli.chat.commands import NAMES, Typed, read_line
from turnstream.cli.chat.conversation import Conversation, Exchange
from turnstream.cli.chat.keyboard import quiet_keyboard
from turnstream.cli.chat.prompt import LeftByInterrupt, Prompt
from turnstream.cli.chat.saved import CannotSave, SavedConversations, title_of
from turnstream.cli.chat.screen import Screen
from turnstream.cli.chat.settings import ChatSettings
from turnstream.cli.chat.typed_meanwhile import TypedMeanwhile, is_text
from turnstream.cli.console import INTERRUPTED
from turnstream.cli.data_dir import default_data_dir
from turnstream.client import AsyncClient, AsyncTurn, ClientError, CreateBody, Unreachable

#: Interval of the status line.
REFRESH_SECONDS = 0.1


async def run(settings: ChatSettings, *, resume: bool) -> int:
    """Talk until the person leaves; return the exit code."""
    screen = Screen(Console(highlight=False))
    async with AsyncClient(settings.url, key=settings.key) as client:
        try:
            models = await client.models()
        except ClientError as exc:
            screen.console.stderr = True
            screen.console.print(f"turnstream chat: {exc}", markup=False)
            return wording.exit_code_of_error(exc)
        session = Session(client, settings, screen, models)
        with contextlib.suppress(Leave), quiet_keyboard(), _interrupts(session.interrupt):
            await session.talk(resume=resume)
    return session.exit_code


class Session:
    """The state of `turnstream chat` in a terminal."""

    def __init__(
        self, client: AsyncClient, settings: ChatSettings, screen: Screen, models: list[str]
    ) -> None:
        self.client = client
        self.screen = screen
        self.exit_code = 0
        self.conversation = Conversation()
        self.model = settings.model or (models[0] if models else "")
        self.system = settings.system
        self.temperature = settings.temperature
        self._server = settings.http_url
        folder = self._folder()
        self.saved = None if folder is None else SavedConversations(folder, self._server)
        self._prompt = Prompt(folder, NAMES, self._summary)
        self._commands = CommandRunner(self)
        self._meanwhile = TypedMeanwhile(client)
        #: The turn that is shown, and the task that shows it.
        self._answering: tuple[AsyncTurn, asyncio.Task[None]] | None = None

    async def talk(self, *, resume: bool) -> None:
        """Read lines and answer them until the person leaves.

        Raises:
            Leave
        """
        await self._commands.greet(resume=resume)
        while True:
            try:
                typed = await self.read()
            except EOFError:
                return
            match read_line(typed):
                case Typed(name, argument):
                    await self._commands.run(name, argument)
                    self.screen.space()
                case message if is_text(message):
                    await self.ask(message)
                case _:
                    self.screen.problem("What was typed is not UTF-8, and was not sent.")

    async def read(self, text: str = "") -> str:
        """Return what is typed.

        Raises:
            EOFError: Ctrl-D.
            Leave: Ctrl-C twice.
        """
        if not text:
            if (line := self._meanwhile.next_line()) is not None:
                self.screen.question(line)
                return line
            text = self._meanwhile.begun_line()
        try:
            return await self._prompt.read(text)
        except LeftByInterrupt as exc:
            self.exit_code = INTERRUPTED
            raise Leave from exc
        finally:
            self.screen.is_apart = False

    async def ask(self, question: str, *, instead_of: Exchange | None = None) -> None:
        """Have a question answered, as the next turn of the conversation or in place of the last.

        Raises:
            Leave: Ctrl-C was pressed twice.
        """
        previous = self.conversation.last if instead_of is None else instead_of.previous
        body: CreateBody = {"input": question}
        if self.model:
            body["model"] = self.model
        if previous is not None:
            body["previous_response_id"] = previous
        if self.system:
            body["instructions"] = self.system
        if self.temperature is not None:
            body["temperature"] = self.temperature
        turn = await self.client.create(**body)
        await self.follow(turn, question, previous, instead_of=instead_of)

    async def follow(
        self,
        turn: AsyncTurn,
        question: str,
        previous: str | None,
        *,
        instead_of: Exchange | None = None,
    ) -> None:
        """Show a turn to its end, and add it to the conversation.

        Raises:
            Leave: Ctrl-C was pressed twice.
        """
        exchange = Exchange(question=question, response_id="", previous=previous, running=True)
        exchanges = self.conversation.exchanges

        def begun() -> None:
            if instead_of is not None:
                exchanges.pop()
            exchanges.append(replace(exchange, response_id=turn.id))
            self.save()

        self.screen.space()
        reading = asyncio.create_task(self._show(turn, begun))
        note = ""
        self._answering = (turn, reading)
        try:
            await reading
            response = await turn.response()
            note = "\n".join(
                filter(None, [*map(wording.call, response.calls), wording.end(response)])
            )
            continues = response.status != "failed"
            if response.steering == "failed":
                self._meanwhile.take_back()
        except asyncio.CancelledError:
            self.exit_code = INTERRUPTED
            raise Leave from None
        except ClientError as exc:
            note, continues = str(exc), isinstance(exc, Unreachable)
        finally:
            self._answering = None
        if note:
            self.screen.space()
            self.screen.problem(note)
        if turn.id:
            # The server continues no turn that has failed.
            ended = replace(
                exchange, response_id=turn.id, answer=turn.text, note=note, running=False
            )
            kept = [] if instead_of is None else [instead_of]
            exchanges[-1:] = [ended] if continues else kept
            self.save()
        self.screen.space()
        if (successor := turn.successor) is not None:
            question = await self._meanwhile.question_of(successor)
            self.screen.question(question)
            await self.follow(successor, question, turn.id)

    def interrupt(self) -> None:
        """Stop the answer; if it is being stopped already, leave."""
        if self._answering is None:
            self._prompt.interrupt()
            return
        turn, reading = self._answering
        if turn.cancelled:
            reading.cancel()
        else:
            self._cancelling = asyncio.create_task(turn.cancel())

    async def _show(self, turn: AsyncTurn, begun: Callable[[], None]) -> None:
        view = self.screen.answer()
        failure: ClientError | None = None
        async with asyncio.TaskGroup() as steers:
            typing = self._meanwhile.reading(turn, view, steers, lambda: self._status(turn))
            with view.shown(), typing:
                try:
                    await self._show_events(turn, view, begun)
                except ClientError as exc:
                    failure = exc  # the group would wrap it
        if failure is not None:
            raise failure

    async def _show_events(
        self, turn: AsyncTurn, view: AnswerView | PlainView, begun: Callable[[], None]
    ) -> None:
        shown, is_known = 0, False
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await turn.wait()
            except TimeoutError:
                view.refresh(self._status(turn))
                continue
            if turn.pop() is None:
                return
            if not is_known:
                is_known = True
                begun()
            if len(turn.text) > shown:
                view.add(turn.text[shown:], self._status(turn))
                shown = len(turn.text)

    def _status(self, turn: AsyncTurn) -> str:
        if turn.cancelled:
            return "stopping; Ctrl-C again leaves"
        if self._meanwhile.said:
            return "going on with what you said"
        if not self.client.connected:
            return "the connection is lost; reconnecting"
        if turn.queue is not None:
            return wording.place(turn.queue)
        return "Ctrl-C stops" if turn.text else "reading; Ctrl-C stops"

    def save(self) -> None:
        """Save where the conversation is; say once if that is not possible."""
        if self.saved is None or self.conversation.last is None:
            return
        if not self.conversation.title:
            self.conversation.title = title_of(self.conversation.exchanges[0].question)
        try:
            self.saved.put(
                id=self.conversation.id,
                title=self.conversation.title,
                last=self.conversation.last,
                updated=time.time(),
            )
        except CannotSave as exc:
            self.screen.problem(f"Conversations are not saved: {exc}")
            self.saved = None

    def _summary(self) -> str:
        """Return what the line below the prompt says."""
        title = self.conversation.title or "new conversation"
        return f"{self.model} · {title} · /help"

    def _folder(self) -> Path | None:
        folder = default_data_dir(os.environ) / "chat"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            self.screen.problem(f"Conversations are not saved: {folder}: {exc.strerror}")
            return None
        return folder


@contextlib.contextmanager
def _interrupts(press: Callable[[], None]) -> Iterator[None]:
    """Call `press` at each Ctrl-C, until the block ends; while a prompt reads it is a key."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, press)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
