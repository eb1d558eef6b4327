"""Write a Python literal as JSON, while its text comes.

Lenient, as models are: JSON's own `true` is taken too, and what is no literal is left as it is.
"""

from dataclasses import dataclass, field

_WORDS = {"True": "true", "False": "false", "None": "null"}
_CLOSING = {"(": "]", "[": "]", "{": "}"}
#: Escapes that mean the same in JSON, those that have a length, and others.
_SAME = frozenset('"\\/bfnrt')
_HEX = {"x": 2, "u": 4, "U": 8}
_OTHERS = {"'": "'", "a": "\\u0007", "v": "\\u000b", "0": "\\u0000", "\n": ""}
_MOST_UNICODE = 0x10FFFF


@dataclass(slots=True)
class LiteralJson:
    """Writes one literal, which a comma or a closing bracket behind it ends."""

    #: A number or word that may go on, or an escape that is not complete.
    _word: str = ""
    _escape: str = ""
    #: The quotation mark of the string that is being read.
    _quote: str = ""
    #: The brackets that are still to be closed.
    _open: list[str] = field(default_factory=list)

    def feed(self, text: str) -> tuple[str, int | None]:
        """Take the next text; return its JSON, and the place of what ends the literal."""
        written: list[str] = []
        for at, character in enumerate(text):
            if self._quote:
                written.append(self._in_string(character))
            elif character.isalnum() or character in "_.+-":
                self._word += character
            else:
                written.append(_WORDS.get(self._word, self._word))
                self._word = ""
                if character in ",)]}" and not self._open:
                    return "".join(written), at
                written.append(self._outside(character))
        return "".join(written), None

    def _outside(self, character: str) -> str:
        if character in "\"'":
            self._quote = character
            return '"'
        if character in _CLOSING:
            self._open.append(_CLOSING[character])
            return "[" if character == "(" else character
        if character in ")]}":
            return self._open.pop()
        return character

    def _in_string(self, character: str) -> str:
        if self._escape:
            return self._escaped(self._escape + character)
        if character == "\\":
            self._escape = character
            return ""
        if character == self._quote:
            self._quote = ""
            return '"'
        return _in_json(character)

    def _escaped(self, escape: str) -> str:
        kind, digits = escape[1], escape[2:]
        length = _HEX.get(kind)
        if length is not None and digits.isalnum() | (not digits) and len(digits) < length:
            self._escape = escape
            return ""
        self._escape = ""
        if length is not None:
            return _character(digits)
        if kind in _SAME:
            return escape
        return _OTHERS.get(kind, "\\\\" + _in_json(kind))


def _character(digits: str) -> str:
    """Return the JSON of a character by its number; if that is none, a replacement character."""
    try:
        number = int(digits, 16)
    except ValueError:
        number = 0xFFFD
    if number > _MOST_UNICODE:
        number = 0xFFFD
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\u{0xD7C0 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def _in_json(character: str) -> str:
    if character == '"':
        return '\\"'
    return f"\\u{ord(character):04x}" if character < " " else character
