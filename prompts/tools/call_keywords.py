"""Read one call that is written as in Python, `add(a=1, b=2)`, while its text comes.

The arguments reach the client as JSON: each is written as soon as it is read.
"""

import json
import re
from typing import Literal

from turnstream.prompts.tools.call_reader import CallReader
from turnstream.prompts.tools.literal_json import LiteralJson
from turnstream.prompts.tools.parts import Arguments, CallBegun, CallEnded, Part

#: A keyword that is longer than this is not one of a call.
_LONGEST = 256
#: A keyword, or `**` before an object that has all arguments; up to their value.
_KEY = re.compile(r"\s*(?:([^\W\d]\w*)\s*=\s*(?=[^\s=])|\*\*\s*(?=\{))")
_BEGINNING_OF_KEY = re.compile(r"\s*(?:[^\W\d]\w*\s*(?:=\s*)?|\*\*?\s*)?")
_END = re.compile(r"\s*\)")


class CallKeywords(CallReader):
    """Reads the arguments of one call, from behind its opening parenthesis on."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._next: Literal["key", "value", "end", "nothing"] = "key"
        self._value = LiteralJson()
        #: What ends the arguments: nothing, if an object has them all.
        self._closing = "}"

    @property
    def done(self) -> bool:
        return self._next == "nothing"

    def _step(self, parts: list[Part]) -> bool:
        if self._next == "value":
            return self._read_value(parts)
        if end := _END.match(self._rest[:_LONGEST]):
            self._rest = self._rest[end.end() :]
            if not self.begun:
                self._begin(parts, "{")
            parts += (Arguments(self._closing), CallEnded())
            self._next = "nothing"
            return True
        if self._next == "end":
            self.bad = bool(self._rest.strip())
            return False
        key = _KEY.match(self._rest[:_LONGEST])
        if key is None:
            too_long = len(self._rest) > _LONGEST
            self.bad = too_long or not _BEGINNING_OF_KEY.fullmatch(self._rest)
            return False
        self._rest = self._rest[key.end() :]
        return self._read_key(key[1], parts)

    def _read_key(self, name: str | None, parts: list[Part]) -> bool:
        self._next, self._value = "value", LiteralJson()
        if name is None:
            self.bad = self.begun
            self._closing = ""
            self._begin(parts, "")
            return True
        written = json.dumps(name, ensure_ascii=False) + ": "
        if self.begun:
            parts.append(Arguments(", " + written))
        else:
            self._begin(parts, "{" + written)
        return True

    def _read_value(self, parts: list[Part]) -> bool:
        written, end = self._value.feed(self._rest)
        parts.append(Arguments(written))
        if end is None:
            self._rest = ""
            return False
        ends_with = self._rest[end]
        self.bad = ends_with not in ",)"
        self._rest = self._rest[end + (ends_with == ",") :]
        self._next = "key" if self._closing else "end"
        return True

    def _begin(self, parts: list[Part], written: str) -> None:
        if not self.bad:
            self.begun = True
            parts += (CallBegun(self._name), Arguments(written))
