"""What is typed while an answer is written: a message steers it, a command waits for its end.

A message that comes too late to steer is the next question, so nothing that was entered is lost.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from turnstream.cli.chat.answer_view import AnswerView, PlainView
from turnstream.cli.chat.commands import Typed, read_line
from turnstream.cli.chat.conversation import question_of
from turnstream.cli.chat.typed_line import TypedLine
from turnstream.client import AsyncClient, AsyncTurn, ClientError, RequestRefused


class TypedMeanwhile:
    """What was typed during an answer, until it is used."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        #: What the answer that is shown was steered with.
        self.said: list[str] = []
        #: Messages that were not used, for the next prompt.
        self._unused: list[str] = []
        #: Lines that are to be read next.
        self._lines: list[str] = []
        #: A line that was not entered.
        self._begun = ""
        #: Whether Ctrl-D was pressed.
        self._ended = False

    @contextlib.contextmanager
    def reading(
        self,
        turn: AsyncTurn,
        view: AnswerView | PlainView,
        tasks: asyncio.TaskGroup,
        status: Callable[[], str],
    ) -> Iterator[None]:
        """Read what is typed until the block ends, where the view can show it."""
        if isinstance(view, PlainView):
            yield
            return

        def changed(text: str) -> None:
            view.typed = text
            view.refresh(status())

        def entered(text: str) -> None:
            if isinstance(message := read_line(text), Typed) or not is_text(message):
                self._lines.append(text)
            else:
                self.said.append(message)
                tasks.create_task(self._steer(turn, text, message))

        line = TypedLine(self._begun, changed, entered)
        view.typed = self._begun
        try:
            with line.reading(view.write):
                yield
        finally:
            self._begun, self._ended = line.text, self._ended or line.ended

    async def _steer(self, turn: AsyncTurn, text: str, message: str) -> None:
        try:
            await turn.steer(message)
        except RequestRefused:
            self.said.remove(message)
            self._lines.append(text)
        except ClientError:
            self.said.remove(message)
            self._unused.append(message)

    def take_back(self) -> None:
        """Keep for the next prompt what the answer was steered with: it was not used."""
        self._unused += self.said
        self.said = []

    async def question_of(self, successor: AsyncTurn) -> str:
        """Return what the answer was steered with, here or elsewhere."""
        said, self.said = "\n\n".join(self.said), []
        try:
            return question_of(await self._client.input_items(successor.id))
        except ClientError:
            return said

    def next_line(self) -> str | None:
        """Return the next line that was entered; None if there is none.

        Raises:
            EOFError: after the last one there was a Ctrl-D.
        """
        if self._lines:
            return self._lines.pop(0)
        if self._ended:
            raise EOFError
        return None

    def begun_line(self) -> str:
        """Return what was typed and not entered, or not used; once."""
        begun = "\n\n".join(filter(None, [*self._unused, self._begun]))
        self._unused, self._begun = [], ""
        return begun


def is_text(typed: str) -> bool:
    """Return whether a text can be sent: bytes that are not UTF-8 are read as lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in typed)
