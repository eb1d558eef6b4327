"""Raw prompts: text or token ids that the model continues, without a chat format."""

from collections.abc import Sequence

from turnstream.turns.errors import ContextLengthExceeded
from turnstream.turns.turn import Item, Message, Request
from turnstream.workers.engine import Tokenizer
from turnstream.workers.prompter import Prompter


class WithRawPrompts:
    """Writes raw prompts as they are, and all others as another prompter does."""

    def __init__(self, tokenizer: Tokenizer, chat: Prompter) -> None:
        self._tokenizer = tokenizer
        self._chat = chat

    def ids(self, messages: Sequence[Item], request: Request, *, limit: int) -> list[int]:
        """Return the prompt of a turn; see `Prompter`. Text begins with a BOS, ids as sent."""
        if not request.raw:
            return self._chat.ids(messages, request, limit=limit)
        ids = list(request.prompt_ids)
        if not ids:
            text = "".join(item.text for item in messages if isinstance(item, Message))
            bos = self._tokenizer.bos_id
            ids = [] if bos is None else [bos]
            ids += self._tokenizer.encode(text) if text else ()
        if len(ids) > limit:
            raise ContextLengthExceeded(len(ids), limit)
        return ids
