"""From the messages of a turn to the ids a model is given.

A prompt knows one system text and a strict question and answer; the wire knows any order. What does
not fit is joined: neighbours of one role become one message, an answer that said nothing is left
out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from turnstream.prompts import AbstractChatPrompt, PromptError, PromptOptions, PromptTooLong
from turnstream.prompts.llama2 import ChatPromptMetaLlamaLlama2Chat
from turnstream.turns.errors import BadRequest, ContextLengthExceeded, UnsafePrompt
from turnstream.turns.turn import Message, Request
from turnstream.workers.engine import Tokenizer

_APART = "\n\n"


class TemplateTokenizer(Tokenizer, Protocol):
    """A tokenizer that came with its own way to write conversations."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Write a conversation as ids; ValueError when the template refuses it."""
        ...


class Prompter(Protocol):
    """Writes prompts for one model."""

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Write the prompt of a turn.

        Args:
            messages: the whole conversation, oldest first.
            limit: tokens that it may have.

        Raises:
            ContextLengthExceeded: it is too long, and may not be cut.
            BadRequest: this conversation can't be written.
        """
        ...


class Llama2Prompter:
    """Writes prompts as Llama 2 was trained on them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Write the prompt of a turn; the oldest turns go first if it may be cut."""
        prompt = _filled(messages, request)
        opts = PromptOptions(
            bos_id=self._tokenizer.bos_id,
            eos_id=min(self._tokenizer.eos_ids),
            max_prompt_tokens=limit,
            truncation="auto" if request.truncate else "disabled",
        )
        try:
            return prompt.create_prompt_ids(self._tokenizer.encode, opts).ids
        except PromptTooLong as exc:
            raise ContextLengthExceeded(exc.tokens, exc.limit) from exc


class TemplatePrompter:
    """Writes prompts by the template that came with the model."""

    def __init__(self, tokenizer: TemplateTokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Write the prompt of a turn; the oldest turns go first if it may be cut."""
        system = system_text(messages, request)
        head = [{"role": "system", "content": system}] if system else []
        spoken = [{"role": m.role, "content": m.text} for m in joined(messages)]
        while True:
            try:
                ids = self._tokenizer.render([*head, *spoken])
            except ValueError as exc:
                raise BadRequest(str(exc), param="input") from exc
            if len(ids) <= limit:
                return ids
            if not request.truncate or len(spoken) < 3:
                raise ContextLengthExceeded(len(ids), limit)
            spoken = spoken[2:]


def joined(messages: Iterable[Message]) -> list[Message]:
    """Give questions and answers in turn, without what said nothing and without system texts."""
    result: list[Message] = []
    for message in messages:
        # Without its outer spaces, as in Meta's own code.
        message = Message(message.role, message.text.strip())
        if message.role == "system" or (message.role == "assistant" and not message.text):
            continue
        if result and result[-1].role == message.role:
            message = Message(message.role, result.pop().text + _APART + message.text)
        result.append(message)
    return result


def system_text(messages: Sequence[Message], request: Request) -> str | None:
    """Join the instructions of this turn and the system messages; None when there are none."""
    said = [request.instructions, *(m.text for m in messages if m.role == "system")]
    return _APART.join(text for text in said if text) or None


def _filled(messages: Sequence[Message], request: Request) -> AbstractChatPrompt:
    prompt = ChatPromptMetaLlamaLlama2Chat()
    try:
        if (system := system_text(messages, request)) is not None:
            prompt.set_system_prompt(system)
        for message in joined(messages):
            if message.role == "user":
                prompt.add_requester_msg(message.text)
            else:
                prompt.add_responder_msg(message.text)
    except PromptError as exc:
        raise UnsafePrompt(str(exc)) from exc
    return prompt
