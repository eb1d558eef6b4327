"""Read one call that is written as a JSON object, while its text comes.

Of the arguments only the end is looked for: they reach the client as the model wrote them, even if
they are no JSON. A call is certain once its name is known and its arguments have begun.
"""

import json
import re
from typing import Literal

from turnstream.prompts.tools.call_reader import CallReader
from turnstream.prompts.tools.parts import Arguments, CallBegun, CallEnded, Part

#: A key or a short value that is longer than this is not one of a call.
_LONGEST = 256
_ARGUMENTS = ("arguments", "parameters")
_STRING = r'"(?:[^"\\]|\\.)*"'
#: A key, up to the first character of its value; and any beginning of that.
_KEY = re.compile(rf"\s*(,?)\s*({_STRING})\s*:\s*(?=\S)", re.DOTALL)
_BEGINNING_OF_KEY = re.compile(r'\s*(,\s*)?("(?:[^"\\]|\\.)*(\\|"\s*(:\s*)?)?)?', re.DOTALL)
_END = re.compile(r"\s*\}")
_QUOTED = re.compile(_STRING, re.DOTALL)
#: A number or word, and what ends it.
_SCALAR = re.compile(r"[\w.+-]+(?=[\s,}])")


class ObjectEnd:
    """Finds the end of a JSON object, array or string."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = self._escaped = False

    def find(self, text: str) -> int | None:
        """Take the next text; return the place after the end, or None if it is not in it."""
        for at, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped = character == "\\"
                self._quoted = character != '"'
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return at + 1
        return None


class CallJson(CallReader):
    """Reads the object of one call, from its brace on.

    Args:
        names: the tools that there are; an object with another name is not a call.
        name: the tool, where the object is its arguments alone.
    """

    def __init__(self, names: frozenset[str], *, name: str | None = None) -> None:
        super().__init__()
        self._names = names
        self._name: str | None = name
        #: What comes next: the opening brace, a key or the end, or the rest of the arguments.
        self._next: Literal["brace", "key", "arguments", "nothing"] = "brace"
        self._end = ObjectEnd()
        #: Arguments that came before the name, or as a string.
        self._kept: str | None = None
        self._bare = name is not None

    @property
    def done(self) -> bool:
        return self._next == "nothing"

    def _step(self, parts: list[Part]) -> bool:
        match self._next:
            case "brace":
                if not self._rest:
                    return False
                self.bad = self._rest[0] != "{"
                if self._bare:
                    self._begin(parts)
                    self._next = "arguments"
                else:
                    self._rest = self._rest[1:]
                    self._next = "key"
                return True
            case "arguments":
                return self._read_arguments(parts)
            case _:
                return self._read_key(parts)

    def _read_arguments(self, parts: list[Part]) -> bool:
        end = self._end.find(self._rest)
        said = self._rest if end is None else self._rest[:end]
        self._rest = self._rest[len(said) :]
        if self.begun:
            parts.append(Arguments(said))
        else:
            self._kept = (self._kept or "") + said
        if end is None:
            return False
        self._next = "key"
        if self._bare:
            parts.append(CallEnded())
            self._next = "nothing"
        return True

    def _read_key(self, parts: list[Part]) -> bool:
        if end := _END.match(self._rest[:_LONGEST]):
            self._rest = self._rest[end.end() :]
            self._close(parts)
            return True
        key = _KEY.match(self._rest[:_LONGEST])
        if key is None:
            too_long = len(self._rest) > _LONGEST
            self.bad = too_long or not _BEGINNING_OF_KEY.fullmatch(self._rest)
            return False
        value = self._rest[key.end() :]
        known = key[2][1:-1]
        if known in _ARGUMENTS and value[0] == "{" and not self._known_arguments:
            self._rest = value
            self._next, self._end = "arguments", ObjectEnd()
            if self._name is not None:
                self._begin(parts)
            return True
        return self._read_value(known, value)

    def _read_value(self, key: str, value: str) -> bool:
        # Arguments that were written as a string have no bound.
        whole = value if key in _ARGUMENTS else value[:_LONGEST]
        if value[0] in "{[":
            end = ObjectEnd().find(whole)
        else:
            found = (_QUOTED if value[0] == '"' else _SCALAR).match(whole)
            end = found.end() if found else None
        if end is None:
            self.bad = len(whole) < len(value)
            return False
        said = value[:end]
        self._rest = value[end:]
        if key == "name":
            name = _string(said)
            self.bad = name not in self._names or self._name is not None
            self._name = name
        elif key in _ARGUMENTS:
            text = "{}" if said == "null" else _string(said)
            self.bad = text is None or self._known_arguments
            self._kept = text
        return True

    @property
    def _known_arguments(self) -> bool:
        return self.begun or self._kept is not None

    def _begin(self, parts: list[Part]) -> None:
        if not self.bad:
            assert self._name is not None
            self.begun = True
            parts.append(CallBegun(self._name))

    def _close(self, parts: list[Part]) -> None:
        if self._name is None:
            self.bad = True
            return
        if not self.begun:
            self._begin(parts)
            parts.append(Arguments(self._kept if self._kept is not None else "{}"))
        parts.append(CallEnded())
        self._next = "nothing"


def _string(text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
