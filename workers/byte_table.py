"""The bytes of every token id.

Byte-fallback tokens are parts of characters, so ids must be joined as bytes before decoding, not
as the text of each id.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

#: SentencePiece's spelling of a token that is one raw byte.
_RAW_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
#: SentencePiece's spelling of a space.
_SPACE = "\u2581"
#: The first of the lone surrogates that stand for raw bytes in a table's strings (byte 0x80).
FIRST_RAW_BYTE = "\udc80"


@dataclass(frozen=True, slots=True)
class ByteTable:
    """The bytes of each id of a vocabulary; control tokens have none.

    They are stored as strings in which a byte that is not a character is a lone surrogate (PEP
    383): most ids are whole characters, and joining strings is three times as fast.
    """

    spelled: tuple[str, ...]

    @classmethod
    def from_tokens(
        cls, tokens: Sequence[str], control: Collection[int], *, byte_level: bool = False
    ) -> Self:
        """Build the table, once at start.

        Args:
            tokens: the token of id 0, 1, 2 … as the tokenizer spells it.
            control: ids that decoding skips, such as BOS, EOS and unknown.
            byte_level: whether tokens spell each byte as a character of its own, as GPT-2's do.
        """
        skipped = frozenset(control)
        spell = _spell_byte_level if byte_level else _spell
        return cls(tuple("" if id in skipped else spell(token) for id, token in enumerate(tokens)))

    def spell(self, ids: Sequence[int]) -> str:
        """Return the joined strings of ids; ids beyond the vocabulary have none."""
        return "".join([self.spelled[id] for id in ids if id < len(self.spelled)])

    def join(self, ids: Sequence[int]) -> bytes:
        """Return the joined bytes of ids."""
        return to_bytes(self.spell(ids))


def to_bytes(spelled: str) -> bytes:
    """Return the bytes that a table's string stands for."""
    return spelled.encode(errors="surrogateescape")


def _byte_characters() -> dict[str, int]:
    """Return the characters that stand for bytes in GPT-2's vocabulary.

    Source:
        openai/gpt-2, ``src/encoder.py``: printable bytes are themselves, the others follow U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(0x100) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + n): byte for n, byte in enumerate(others)
    }


_BYTE_CHARACTERS = _byte_characters()


def _spell_byte_level(token: str) -> str:
    data = b"".join(
        # An added token is spelled as it is.
        bytes((_BYTE_CHARACTERS[character],))
        if character in _BYTE_CHARACTERS
        else character.encode()
        for character in token
    )
    return data.decode(errors="surrogateescape")


def _spell(token: str) -> str:
    if raw := _RAW_BYTE.fullmatch(token):
        return bytes.fromhex(raw[1]).decode(errors="surrogateescape")
    return token.replace(_SPACE, " ")
