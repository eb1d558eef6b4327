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
#: The least of the lone surrogates that stand for raw bytes in a table's strings (byte 0x80).
FIRST_RAW_BYTE = "\udc80"


@dataclass(frozen=True, slots=True)
class ByteTable:
    """The bytes of each id of a SentencePiece vocabulary; control tokens have none.

    They are kept as strings in which a byte that is no character by itself is a lone surrogate
    (PEP 383): most ids are whole characters, and joining those as text is three times as fast.
    """

    spelled: tuple[str, ...]

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], control: Collection[int]) -> Self:
        """Read the vocabulary once, at start.

        Args:
            tokens: the token of id 0, 1, 2 … as the tokenizer spells it.
            control: ids that decoding skips, such as BOS, EOS and unknown.
        """
        skipped = frozenset(control)
        return cls(tuple("" if id in skipped else _spell(token) for id, token in enumerate(tokens)))

    def spell(self, ids: Sequence[int]) -> str:
        """Join what ids add; rows a model has beyond its vocabulary add nothing."""
        return "".join([self.spelled[id] for id in ids if id < len(self.spelled)])

    def join(self, ids: Sequence[int]) -> bytes:
        """Join the bytes of ids."""
        return to_bytes(self.spell(ids))


def to_bytes(spelled: str) -> bytes:
    """Give back the bytes that a table's strings stand for."""
    return spelled.encode(errors="surrogateescape")


def _spell(token: str) -> str:
    if raw := _RAW_BYTE.fullmatch(token):
        return bytes.fromhex(raw[1]).decode(errors="surrogateescape")
    return token.replace(_SPACE, " ")
