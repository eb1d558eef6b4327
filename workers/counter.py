"""The thread that counts the tokens of conversations, and chooses what compacting keeps.

Nodes have no tokenizer, so they ask a worker of the model.
"""

import logging
from bisect import bisect_left
from collections.abc import Sequence
from threading import Event, Thread
from typing import Protocol

from turnstream.turns.errors import BadRequest, ContextLengthExceeded
from turnstream.turns.queue import RETRYABLE_ERRORS
from turnstream.turns.token_count import Count, Question
from turnstream.turns.turn import Item, Message, Request, Role
from turnstream.workers.prompter import Prompter

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
#: A compacted conversation takes at most one part in this many of the context.
COMPACT_SHARE = 2
#: Tokens that are counted, at least and for each token of the context; that takes seconds.
_MOST_COUNTED, _MOST_CONTEXTS = 128 * 1024, 4
#: Stands for the next request where a conversation ends with a reply.
_NEXT = Message("user", "?")


class Questions(Protocol):
    """The source of questions and the destination of answers."""

    def next(self) -> Question | None: ...

    def answer(self, question: Question, answer: Count | BadRequest) -> None: ...


class Counter:
    """Answers questions from `start` until `stop`."""

    def __init__(self, questions: Questions, prompter: Prompter, *, context: int) -> None:
        self._questions = questions
        self._prompter = prompter
        self._context = context
        self._most = max(_MOST_COUNTED, _MOST_CONTEXTS * context)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="counter")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop_counting(self) -> None:
        """Take no more questions; never waits."""
        self._stopping.set()

    def stop(self) -> None:
        """End the thread; takes as long as `Questions.next` waits."""
        self.stop_counting()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                question = self._questions.next()
                if question is not None:
                    self._questions.answer(question, self._answer(question))
            except RETRYABLE_ERRORS:
                self._stopping.wait(RETRY_SECONDS)

    def _answer(self, question: Question) -> Count | BadRequest:
        try:
            if question.compact:
                return self._compacted(question.messages, question.request)
            limit = self._context - 1 if question.request.truncate else self._most
            return Count(tokens=self._tokens(question.messages, question.request, limit=limit))
        except BadRequest as exc:
            return exc

    def _compacted(self, messages: tuple[Item, ...], request: Request) -> Count:
        """Return the latest turns that fit, at least the last one."""
        kept = [_from(messages, start) for start in _questions(messages)]
        fewest = bisect_left(
            range(len(kept)), True, key=lambda at: self._fits_share(kept[at], request)
        )
        latest = kept[min(fewest, len(kept) - 1)]
        self._answerable(latest, request, limit=self._context - 1)
        return Count(tokens=self._answerable(messages, request, limit=self._most), kept=latest)

    def _fits_share(self, messages: Sequence[Item], request: Request) -> bool:
        try:
            self._answerable(messages, request, limit=self._context // COMPACT_SHARE)
        except ContextLengthExceeded:
            return False
        return True

    def _answerable(self, messages: Sequence[Item], request: Request, *, limit: int) -> int:
        """Return the tokens of a conversation's prompt once it ends in a request."""
        spoken = [item for item in messages if _role(item) != "system"]
        if not spoken or _role(spoken[-1]) != "user":
            messages = [*messages, _NEXT]
        return self._tokens(messages, request, limit=limit)

    def _tokens(self, messages: Sequence[Item], request: Request, *, limit: int) -> int:
        return len(self._prompter.ids(messages, request, limit=limit))


def _questions(items: Sequence[Item]) -> list[int]:
    """Return where turns begin: at 0, and at later user messages after a reply or an output."""
    begins = []
    before = "assistant"
    for at, item in enumerate(items):
        role = _role(item)
        if role == "user" and before != "user":
            begins.append(at)
        if role != "system":
            before = role
    # A reply may come before the first user message.
    return [0, *begins[1:]]


def _from(items: tuple[Item, ...], start: int) -> tuple[Item, ...]:
    """Return the items from a turn on, and all system messages before it."""
    return (*(item for item in items[:start] if _role(item) == "system"), *items[start:])


def _role(item: Item) -> Role:
    # An output belongs to the turn of its call, although the model reads it as a user's text.
    return item.role if isinstance(item, Message) else "assistant"
