"""Tells which tokens of an answer a slice shows, with their log probabilities in a person's words.

A token belongs to the slice that shows its last byte, so that the joined bytes of the tokens of all
slices are those of the text. Therefore white space before an answer is taken off its first tokens,
a token is cut where a stop string cuts the text, and tokens of which nothing is shown then are left
out.
"""

from codecs import utf_8_decode
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnstream.turns.shapes import TokenLogprob, TopLogprob
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.workers.byte_table import ByteTable

#: Stands for all smaller log probabilities, as JSON has no infinity.
LEAST_LOGPROB = -9999.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What tokens are in text."""

    table: ByteTable
    #: As the tokenizer spells them, by id.
    tokens: Sequence[str]

    def top_logprob(self, id: int, logprob: float, *, leading: bool) -> TopLogprob:
        """Describe a token that might have been chosen; a leading one loses its white space."""
        data = self.table.join((id,))
        if leading:
            data = _without_space(data)
        return TopLogprob(token=self._name(id, data), logprob=_bounded(logprob), bytes=tuple(data))

    def token_logprob(
        self, id: int, logprobs: TokenLogprobs, data: bytes, *, leading: bool
    ) -> TokenLogprob:
        """Describe a token of the answer, of which `data` is shown."""
        return TokenLogprob(
            token=self._name(id, data),
            logprob=_bounded(logprobs.chosen),
            bytes=tuple(data),
            top_logprobs=tuple(
                self.top_logprob(each, logprob, leading=leading) for each, logprob in logprobs.top
            ),
        )

    def _name(self, id: int, data: bytes) -> str:
        if not data and not self.table.join((id,)) and id < len(self.tokens):
            return self.tokens[id]
        return data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class _Token:
    id: int
    logprobs: TokenLogprobs
    #: The bytes of an incomplete character before the token.
    before: bytes
    data: bytes
    #: Characters of the text before the token, and up to its last byte.
    start: int
    end: int
    leading: bool


class ShownTokens:
    """The tokens of one answer that no slice has shown yet."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._waiting: deque[_Token] = deque()
        #: Characters of the text so far, and the bytes of an incomplete one.
        self._characters = 0
        self._pending = b""
        self._begun = False

    def feed(self, ids: Sequence[int], logprobs: Sequence[TokenLogprobs]) -> None:
        """Take new tokens."""
        for id, each in zip(ids, logprobs, strict=True):
            self._feed(id, each)

    def take(self, shown: int) -> list[TokenLogprob]:
        """Take out the tokens whose last byte is in the first `shown` characters of the text."""
        taken = []
        while self._waiting and self._waiting[0].end <= shown:
            token = self._waiting.popleft()
            taken.append(self._described(token, token.data))
        return taken

    def take_last(self, shown: int) -> list[TokenLogprob]:
        """Take out the last tokens of a text that ends after `shown` characters."""
        taken = self.take(shown)
        if self._waiting and self._waiting[0].start < shown:
            token = self._waiting.popleft()
            taken.append(self._described(token, _cut(token, shown - token.start)))
        self._waiting.clear()
        return taken

    def _feed(self, id: int, logprobs: TokenLogprobs) -> None:
        leading, start, before = not self._begun, self._characters, self._pending
        data = self._vocabulary.table.join((id,))
        text, used = utf_8_decode(before + data, "replace", False)
        self._pending = (before + data)[used:]
        if leading:
            reply = text.lstrip()
            if space := text[: len(text) - len(reply)].encode():
                data, before = data[len(space) - len(before) :], b""
                # Some of them may have begun a character that turns out to be white space.
                self._waiting = deque(replace(each, data=b"", end=0) for each in self._waiting)
            text, self._begun = reply, bool(reply)
        self._characters += len(text)
        end = self._characters + bool(self._pending)
        self._waiting.append(_Token(id, logprobs, before, data, start, end, leading))

    def _described(self, token: _Token, data: bytes) -> TokenLogprob:
        return self._vocabulary.token_logprob(token.id, token.logprobs, data, leading=token.leading)


def _cut(token: _Token, characters: int) -> bytes:
    """Return the fewest bytes of a token that complete this many characters."""
    data = token.before + token.data
    for size in range(len(token.before), len(data)):
        if len(utf_8_decode(data[:size], "replace", False)[0]) >= characters:
            return data[len(token.before) : size]
    return token.data


def _without_space(data: bytes) -> bytes:
    return data.decode(errors="surrogateescape").lstrip().encode(errors="surrogateescape")


def _bounded(logprob: float) -> float:
    return min(0.0, max(LEAST_LOGPROB, logprob))
