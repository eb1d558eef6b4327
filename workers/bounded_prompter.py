"""Refuse a conversation that is far too long before all of it is tokenised.

A request may have megabytes, and tokenising takes seconds for each of them: in that time the
worker claims nothing else, and the turn's lease runs out. So a long text is counted a window at a
time, and only until it is clear that it does not fit.
"""

from collections.abc import Sequence
from itertools import pairwise

from turnstream.turns.errors import ContextLengthExceeded
from turnstream.turns.turn import Item, Message, Request
from turnstream.workers.engine import Tokenizer
from turnstream.workers.prompter import Prompter, as_messages, system_text

#: Conversations of fewer characters are tokenised at once, and so are those of fewer characters for
#: each token of the limit.
FREE_CHARACTERS, _FREE_FOR_TOKEN = 256 * 1024, 6
_WINDOW_CHARACTERS = 16 * 1024
#: Tokens that a window may have more than its text has within the whole.
_SLACK = 64


class BoundedPrompter:
    """Writes prompts as another prompter does, in a time that the limit bounds."""

    def __init__(
        self, prompter: Prompter, tokenizer: Tokenizer, *, free_characters: int = FREE_CHARACTERS
    ) -> None:
        self._free_characters = free_characters
        self._prompter = prompter
        self._tokenizer = tokenizer

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; see `Prompter.ids`."""
        characters = sum(len(message.text) for message in as_messages(messages, tools=False))
        characters += len(request.instructions or "") + sum(map(len, _told(request)))
        many = characters > max(self._free_characters, limit * _FREE_FOR_TOKEN)
        # Each item with text has a token at least.
        if many or len(messages) > limit:
            messages = self._that_may_fit(messages, request, limit)
        return self._prompter.ids(messages, request, limit=limit)

    def _that_may_fit(self, items: Sequence[Item], request: Request, limit: int) -> Sequence[Item]:
        """Return the items, with truncation without turns that would be dropped anyway.

        Raises:
            ContextLengthExceeded: they are too long.
        """
        messages = list(as_messages(items, tools=False))
        used = 0
        for text in (system_text(items, request) or "", *_told(request)):
            used += self._least(text, limit - used) if used <= limit else 0
        spoken = [at for at, message in enumerate(messages) if message.role != "system"]
        fitting = len(messages)
        for at in reversed(spoken):
            text = messages[at].text.strip()
            used += max(self._least(text, limit - used), 1 if text else 0)
            if used > limit:
                break
            fitting = at
        if used <= limit:
            return items
        begins = [
            later
            for earlier, later in pairwise(spoken)
            # An output of a tool belongs to the turn of its call.
            if later >= fitting
            and isinstance(items[later], Message)
            and _begins_turn(messages[earlier], messages[later])
        ]
        if not request.truncate or not begins:
            raise ContextLengthExceeded(used, limit, at_least=True)
        head = [message for message in messages[: begins[0]] if message.role == "system"]
        return [*head, *items[begins[0] :]]

    def _least(self, text: str, enough: int) -> int:
        """Return fewer tokens than a text has, or hardly more than `enough` of them."""
        text = text.strip()
        count = 0
        for start in range(0, len(text), _WINDOW_CHARACTERS):
            window = text[start : start + _WINDOW_CHARACTERS]
            count += max(0, len(self._tokenizer.encode(window)) - _SLACK)
            if count > enough:
                break
        return count


def _told(request: Request) -> list[str]:
    """Return what is long of the tools that the model is told of."""
    tools = request.offer.tools if request.offer else ()
    return [text for tool in tools for text in (tool.description, tool.parameters) if text]


def _begins_turn(before: Message, message: Message) -> bool:
    # Neighbouring messages of a user are one request.
    return before.role == "assistant" and message.role == "user"
