"""The items of one answer, and the events that bring them to readers.

Text is one message, and comes first; each call of a tool is an item of its own. Parts that were
read before make no events again: another attempt's items stand where the first one's stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnstream.prompts.tools import Arguments, CallBegun, CallEnded, Part, Text, joined
from turnstream.turns import events, response
from turnstream.turns.shapes import FunctionCallItem, MessageStatus, OutputItem, TokenLogprob
from turnstream.turns.turn import FunctionCall, items_to_json
from turnstream.workers.shown_tokens import ShownTokens


@dataclass(slots=True)
class _Call:
    name: str
    arguments: str = ""
    ended: bool = False


class OutputItems:
    """The items of one answer so far.

    Args:
        shown: of a turn that reports log probabilities.
    """

    def __init__(self, response_id: str, shown: ShownTokens | None) -> None:
        self._id = response_id
        self._shown = shown
        self.text = ""
        self._logprobs: list[TokenLogprob] = []
        #: Whether the message has begun, and whether it has ended.
        self._said = self._message_ended = False
        self._calls: list[_Call] = []

    @property
    def opened(self) -> bool:
        """Whether an item has begun."""
        return self._said or bool(self._calls)

    @property
    def calls(self) -> bool:
        """Whether a call of a tool has begun."""
        return bool(self._calls)

    @property
    def open(self) -> bool:
        """Whether an item has begun and not ended."""
        if self._calls:
            return not self._calls[-1].ended
        return self._said and not self._message_ended

    def add(self, parts: Sequence[Part], seq: int, *, last: bool = False) -> list[str]:
        """Take the next parts; return their events, numbered from `seq`.

        Args:
            last: the answer ends with them.
        """
        made: list[str] = []
        parts = joined(parts)
        for part in parts:
            number = seq + len(made)
            match part:
                case Text(text):
                    made += self._say(text, number, last=last and part is parts[-1])
                case CallBegun(name):
                    made += self._begin(name, number)
                case Arguments(text):
                    self._calls[-1].arguments += text
                    item, index = self._call_item(), self._index
                    made.append(events.arguments_delta(number, index, item, text))
                case CallEnded():
                    self._calls[-1].ended = True
                    made += events.closing(number, self._index, self._call_item())
        if last and not parts and not self._calls:
            made = self._say("", seq, last=True)
        return made

    def close(self, seq: int, *, completed: bool) -> list[str]:
        """Return the events that end the item that is open; an answer without any is empty text."""
        made: list[str] = []
        if not self.opened:
            self._said = True
            made = events.opening(self._id, seq)
        if not self.open:
            return made
        item = self.items(completed=completed)[-1]
        return made + events.closing(seq + len(made), self._index, item)

    def items(self, *, completed: bool) -> tuple[OutputItem, ...]:
        """Return the items; one that is open is incomplete, unless the answer is completed."""
        items: list[OutputItem] = []
        if self._said:
            ended = completed or self._message_ended
            status: MessageStatus = "completed" if ended else "incomplete"
            items.append(response.message_item(self._id, status, self.text, self._logprobs))
        items += (self._call_item(number) for number in range(len(self._calls)))
        return tuple(items)

    def calls_json(self) -> str:
        """Return the calls for the turn's record; empty when there are none."""
        calls = [
            FunctionCall(
                call_id=item.call_id,
                name=item.name,
                arguments=item.arguments,
                id=item.id,
                status=item.status,
            )
            for item in map(self._call_item, range(len(self._calls)))
        ]
        return items_to_json(calls) if calls else ""

    def _say(self, text: str, seq: int, *, last: bool = False) -> list[str]:
        logprobs: list[TokenLogprob] = []
        if self._shown:
            shown = len(self.text) + len(text)
            logprobs = self._shown.take_last(shown) if last else self._shown.take(shown)
        # At the end there may be tokens without text, such as an EOS that was ignored.
        if not (text or logprobs):
            return []
        made = [] if self._said else events.opening(self._id, seq)
        self._said = True
        self.text += text
        self._logprobs += logprobs
        return [*made, events.text_delta(self._id, seq + len(made), text, logprobs)]

    def _begin(self, name: str, seq: int) -> list[str]:
        made: list[str] = []
        if self._said and not self._message_ended:
            made = self._say("", seq, last=True)
            self._message_ended = True
            item = response.message_item(self._id, "completed", self.text, self._logprobs)
            made += events.closing(seq + len(made), 0, item)
        self._calls.append(_Call(name))
        opening = response.call_item(self._id, len(self._calls) - 1, "in_progress", name, "")
        return [*made, events.call_opening(seq + len(made), self._index, opening)]

    @property
    def _index(self) -> int:
        """Index of the last item in the output."""
        return self._said + len(self._calls) - 1

    def _call_item(self, number: int = -1) -> FunctionCallItem:
        number %= len(self._calls)
        call = self._calls[number]
        status: MessageStatus = "completed" if call.ended else "incomplete"
        return response.call_item(self._id, number, status, call.name, call.arguments)
