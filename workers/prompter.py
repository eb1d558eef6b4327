"""From the messages of a turn to the token ids of its prompt.

A prompt has one system text and alternating requests and replies; a request may have any order.
Neighbouring messages of one role are joined, and empty replies are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from turnstream.prompts import SYSTEM_PROMPT, PromptError, PromptTooLong, llama2
from turnstream.turns.errors import BadRequest, ContextLengthExceeded, UnsafePrompt
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Message, Request
from turnstream.workers.engine import Tokenizer

_SEPARATOR = "\n\n"


class TemplateTokenizer(Tokenizer, Protocol):
    """A tokenizer that came with a chat template."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return a conversation's ids; raise ValueError if the template refuses it."""
        ...


class Prompter(Protocol):
    """Writes prompts for one model."""

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn.

        Args:
            messages: the whole conversation, oldest first.
            limit: tokens that it may have.

        Raises:
            ContextLengthExceeded: it is too long, and may not be truncated.
            BadRequest: the format cannot express this conversation.
        """
        ...


class Llama2Prompter:
    """Writes prompts in Llama 2's format."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
        try:
            return llama2.prompt_ids(
                [(m.role, m.text) for m in joined(messages) if m.role != "system"],
                system=system_text(messages, request) or SYSTEM_PROMPT,
                encode=self._tokenizer.encode,
                bos_id=self._tokenizer.bos_id,
                eos_id=min(self._tokenizer.eos_ids),
                limit=limit,
                truncate=request.truncate,
            ).ids
        except PromptTooLong as exc:
            raise ContextLengthExceeded(exc.tokens, exc.limit) from exc
        except PromptError as exc:
            raise UnsafePrompt(str(exc)) from exc


class TemplatePrompter:
    """Writes prompts with the chat template that came with the model."""

    def __init__(self, tokenizer: TemplateTokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Message], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
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
    """Return alternating requests and replies, without empty replies and system messages."""
    result: list[Message] = []
    for message in messages:
        # Meta's code strips messages, too.
        message = Message(message.role, message.text.strip())
        if message.role == "system" or (message.role == "assistant" and not message.text):
            continue
        if result and result[-1].role == message.role:
            message = Message(message.role, result.pop().text + _SEPARATOR + message.text)
        result.append(message)
    return result


def system_text(messages: Sequence[Message], request: Request) -> str | None:
    """Return the instructions and the system messages as one text; None if there are none."""
    texts = [request.instructions, *(m.text for m in messages if m.role == "system")]
    return _SEPARATOR.join(text for text in texts if text) or None


def public_prefix(prompter: Prompter, *, limit: int) -> list[int]:
    """Return the ids that begin the prompt of every conversation without a system text of its own.

    Empty if the prompt's format needs more than `limit` tokens or other messages.
    """
    asked = Request(instructions=None, sampling=SamplingParams())
    try:
        one, other = (
            prompter.ids([Message("user", text)], asked, limit=limit) for text in ("0", "Q")
        )
    except BadRequest:
        return []
    return one[: common_length(one, other)]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many first ids two prompts have in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
