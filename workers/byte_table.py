"""What every token id adds to a text, in bytes.

Bytes, because tokens of the byte-fallback kind are pieces of characters: the text of ids is only
the text of their joined bytes, never the joined text of each.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

#: How SentencePiece spells a token that is one raw byte.
_RAW_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
#: How SentencePiece spells a space inside a token.
_SPACE = "\u2581"


@dataclass(frozen=True, slots=True)
class ByteTable:
    """The bytes of each id of a SentencePiece vocabulary; control tokens have none."""

    entries: tuple[bytes, ...]

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], control: Collection[int]) -> Self:
        """Read the vocabulary once, at start.

        Args:
            tokens: the token of id 0, 1, 2 … as the tokenizer spells it.
            control: ids that decoding skips, such as BOS, EOS and unknown.
        """
        skipped = frozenset(control)
        return cls(
            tuple(b"" if id in skipped else _bytes_of(token) for id, token in enumerate(tokens))
        )

    def join(self, ids: Sequence[int]) -> bytes:
        """Join the bytes of ids; rows a model has beyond its vocabulary say nothing."""
        entries = self.entries
        try:
            return b"".join([entries[id] for id in ids])
        except IndexError:
            return b"".join([entries[id] for id in ids if id < len(entries)])


def _bytes_of(token: str) -> bytes:
    if raw := _RAW_BYTE.fullmatch(token):
        return bytes.fromhex(raw[1])
    return token.replace(_SPACE, " ").encode()
