"""From the messages of a turn to the token ids of its prompt.

A prompt has one system text and alternating requests and replies; a request may have any order.
Neighbouring messages of one role are joined, and empty replies are left out. Calls of tools and
their outputs are written as text. Where a request is missing it is empty.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, assert_never

from turnstream.prompts import SYSTEM_PROMPT, PromptTooLong, llama2
from turnstream.turns.errors import BadRequest, ContextLengthExceeded, NothingToAnswer
from turnstream.turns.turn import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Request,
    can_be_answered,
    spoken_at,
)
from turnstream.workers.engine import Tokenizer

_SEPARATOR = "\n\n"
_NO_REQUEST = Message("user", "")


class TemplateTokenizer(Tokenizer, Protocol):
    """A tokenizer that came with a chat template."""

    def render(
        self, messages: Sequence[Mapping[str, str]], *, continue_last: bool = False
    ) -> list[int]:
        """Return a conversation's ids; raise ValueError if the template refuses it."""
        ...


class Prompter(Protocol):
    """Writes prompts for one model."""

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; one that ends in a reply is to be continued.

        Args:
            messages: the whole conversation, oldest first.
            limit: tokens that it may have.

        Raises:
            ContextLengthExceeded: it is too long, and may not be truncated.
            BadRequest: the format cannot express this conversation, or it ends in a call.
        """
        ...


class Llama2Prompter:
    """Writes prompts in Llama 2's format."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
        spoken = joined(messages)
        try:
            return llama2.prompt_ids(
                [(m.role, m.text) for m in begun(spoken) if m.role != "system"],
                system=system_text(messages, request) or SYSTEM_PROMPT,
                encode=self._tokenizer.encode,
                bos_id=self._tokenizer.bos_id,
                eos_id=min(self._tokenizer.eos_ids),
                limit=limit,
                truncate=request.truncate,
                continue_last=continued_reply(messages) is not None,
            ).ids
        except PromptTooLong as exc:
            raise ContextLengthExceeded(exc.tokens, exc.limit) from exc


class TemplatePrompter:
    """Writes prompts with the chat template that came with the model."""

    def __init__(self, tokenizer: TemplateTokenizer) -> None:
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; truncation drops the oldest turns."""
        system = system_text(messages, request)
        head = [Message("system", system)] if system else []
        spoken = joined(messages)
        continue_last = continued_reply(messages) is not None
        while True:
            ids = self._rendered(head, spoken, continue_last=continue_last)
            if len(ids) <= limit:
                return ids
            if not request.truncate or len(spoken) < 3:
                raise ContextLengthExceeded(len(ids), limit)
            spoken = spoken[2:]

    def _rendered(
        self, head: Sequence[Message], spoken: Sequence[Message], *, continue_last: bool
    ) -> list[int]:
        def render(*messages: Message) -> list[int]:
            written = [{"role": message.role, "content": message.text} for message in messages]
            return self._tokenizer.render(written, continue_last=continue_last)

        try:
            try:
                return render(*head, *(spoken or [_NO_REQUEST]))
            except ValueError:
                if not spoken or spoken[0].role == "user":
                    raise
                # Many templates refuse a conversation that a reply begins.
                return render(*head, *begun(spoken))
        except ValueError as exc:
            raise BadRequest(str(exc), param="input") from exc


def continued_reply(items: Sequence[Item]) -> str | None:
    """Return the text that the answer goes on from; None: it is a new reply.

    Raises:
        NothingToAnswer: the last item is a call of a tool, without its output.
    """
    at = spoken_at(items)
    if at is None:
        return None
    last = items[at]
    if not can_be_answered(last):
        raise NothingToAnswer
    return last.text if isinstance(last, Message) and last.role == "assistant" else None


def begun(spoken: Sequence[Message]) -> list[Message]:
    """Return the messages with an empty request before the first, unless it is a request."""
    first = [] if spoken and spoken[0].role == "user" else [_NO_REQUEST]
    return [*first, *spoken]


def joined(items: Iterable[Item]) -> list[Message]:
    """Return alternating requests and replies, without empty replies and system messages."""
    result: list[Message] = []
    for message in as_messages(items):
        # Meta's code strips messages, too.
        message = Message(message.role, message.text.strip())
        if message.role == "system" or (message.role == "assistant" and not message.text):
            continue
        if result and result[-1].role == message.role:
            texts = (result.pop().text, message.text)
            message = Message(message.role, _SEPARATOR.join(text for text in texts if text))
        result.append(message)
    return result


def as_messages(items: Iterable[Item]) -> Iterator[Message]:
    """Yield each item as the message that the model reads."""
    names: dict[str, str] = {}
    for item in items:
        match item:
            case Message():
                yield item
            case FunctionCall():
                names[item.call_id] = item.name
                yield Message("assistant", f"Call of the tool {item.name}: {item.arguments}")
            case FunctionCallOutput():
                tool = f"the tool {names[item.call_id]}" if item.call_id in names else "a tool"
                yield Message("user", f"Output of {tool}: {item.output}")
            case _:
                assert_never(item)


def system_text(items: Sequence[Item], request: Request) -> str | None:
    """Return the instructions and the system messages as one text; None if there are none."""
    said = [item.text for item in items if isinstance(item, Message) and item.role == "system"]
    texts = [request.instructions, *said]
    return _SEPARATOR.join(text for text in texts if text) or None
