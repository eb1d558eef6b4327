"""Read text and calls from an answer, while it comes.

Text is held back as long as it may become a mark, or white space before one. What follows a mark
and turns out not to be a call is text after all, mark included; but after a call nothing but
further calls is part of the answer, since models then invent what the tool returned.
"""

from dataclasses import dataclass
from typing import Literal

from turnstream.prompts.reply_text import prefix_length, proper_prefixes
from turnstream.prompts.tools.call_json import CallJson
from turnstream.prompts.tools.call_keywords import CallKeywords
from turnstream.prompts.tools.call_reader import CallReader
from turnstream.prompts.tools.parts import CallEnded, Part, Text, joined

#: An id of a call, with the marks around it, is at most this long.
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """The texts around the calls of a format."""

    #: Text that begins a call, wherever it stands.
    marks: tuple[str, ...]
    #: What may stand between marks and objects, besides white space.
    glue: tuple[str, ...] = ()
    #: The bracket that begins a call at the beginning of an answer, without a mark; empty: none.
    bare: Literal["", "{", "["] = ""
    #: Whether a mark may be followed by a name, and its arguments alone.
    named: bool = False
    #: What may stand between such a name and an id of the call, which is not shown.
    id_mark: str = ""
    #: What may stand between such a name, or such an id, and the arguments.
    after_name: str = ""
    #: Whether these are in parentheses, as in Python, and not JSON.
    keywords: bool = False


class MarkedCalls:
    """Reads one answer.

    Args:
        names: the tools that may be called.
        parallel: whether anything follows the first call.
    """

    def __init__(self, syntax: Syntax, names: frozenset[str], *, parallel: bool) -> None:
        self._syntax = syntax
        self._names = names
        self._parallel = parallel
        self._prefixes = proper_prefixes(syntax.marks)
        self._glue = (*syntax.marks, *syntax.glue)
        self._glue_prefixes = proper_prefixes(self._glue)
        #: Text that is not understood yet; since the last mark, if that may not begin a call.
        self._held = ""
        self._since_mark = ""
        self._place: Literal["start", "text", "glue", "call"] = "start" if syntax.bare else "text"
        self._call: CallReader = CallJson(names)
        #: Whether a call was begun.
        self._called = False
        #: Whether nothing that follows is part of the answer.
        self.ended = False

    def feed(self, text: str) -> list[Part]:
        """Take the next text; return what is certain to be part of the answer."""
        self._held += text
        parts: list[Part] = []
        while not self.ended and self._step(parts):
            pass
        return joined(parts)

    def finish(self, *, cut: bool) -> list[Part]:
        """Return the rest of an answer that has ended, in no further call."""
        held = self._since_mark + self._held
        if self.ended or self._called or (cut and held.strip()):
            held = ""
        return [Text(held)] if held else []

    def _step(self, parts: list[Part]) -> bool:
        """Read the next element; return False if more text is needed."""
        match self._place:
            case "start":
                return self._read_start()
            case "text":
                return self._read_text(parts)
            case "glue":
                return self._read_glue(parts)
            case "call":
                return self._read_call(parts)

    def _read_start(self) -> bool:
        begins = self._held.lstrip()
        if begins:
            match self._syntax.bare == begins[0] and begins[0]:
                case "{":
                    self._begin(begins, CallJson(self._names))
                case "[":
                    self._place = "glue"
                case _:
                    self._place = "text"
        return bool(begins)

    def _read_text(self, parts: list[Part]) -> bool:
        found = [(at, mark) for mark in self._syntax.marks if (at := self._held.find(mark)) >= 0]
        if found:
            at, mark = min(found, key=lambda each: (each[0], -len(each[1])))
            before = self._held[:at].rstrip()
            parts.append(Text(before))
            self._since_mark = self._held[len(before) : at + len(mark)]
            self._held = self._held[at + len(mark) :]
            self._place = "glue"
            return True
        certain = len(self._held) - prefix_length(self._held, self._prefixes)
        certain = len(self._held[:certain].rstrip())
        parts.append(Text(self._held[:certain]))
        self._held = self._held[certain:]
        return False

    def _read_glue(self, parts: list[Part]) -> bool:
        text = self._held.lstrip()
        if not text:
            return False
        if text in self._glue_prefixes:
            return False
        glue = [each for each in self._glue if text.startswith(each)]
        if glue:
            self._skip(len(self._held) - len(text) + len(max(glue, key=len)))
        elif text[0] == "{" and not self._syntax.keywords:
            self._begin(text, CallJson(self._names))
        elif self._syntax.named and (text[0].isalnum() or text[0] == "_"):
            return self._read_name(text, parts)
        else:
            self._give_up(parts)
        return True

    def _read_name(self, text: str, parts: list[Part]) -> bool:
        """Read the name of a tool whose arguments follow alone."""
        after = self._syntax.after_name
        known = [name for name in self._names if text.startswith(name)]
        for name in sorted(known, key=len, reverse=True):
            behind = text[len(name) :]
            if behind and (after.startswith(behind) or self._syntax.id_mark.startswith(behind)):
                return False
            if self._syntax.id_mark and behind.startswith(self._syntax.id_mark):
                end = behind.find(after, 0, _LONGEST_ID)
                if end < 0 and len(behind) < _LONGEST_ID:
                    return False
                behind = behind[max(0, end) :]
            arguments = behind.removeprefix(after).lstrip()
            if not arguments:
                return False
            if self._syntax.keywords and arguments[0] == "(":
                self._begin(arguments[1:], CallKeywords(name))
                return True
            if not self._syntax.keywords and arguments[0] == "{":
                self._begin(arguments, CallJson(self._names, name=name))
                return True
        if any(name.startswith(text) for name in self._names):
            return False
        self._give_up(parts)
        return True

    def _begin(self, text: str, call: CallReader) -> None:
        """Begin to read a call from this last part of the held text."""
        self._skip(len(self._held) - len(text))
        self._call, self._place = call, "call"

    def _skip(self, length: int) -> None:
        if not self._called:
            self._since_mark += self._held[:length]
        self._held = self._held[length:]

    def _read_call(self, parts: list[Part]) -> bool:
        read = self._held
        said, behind = self._call.feed(read)
        self._skip(len(read) - len(behind))
        parts += said
        if self._call.begun:
            self._called, self._since_mark = True, ""
        if self._call.done:
            self._place = "glue"
            self.ended = not self._parallel
            return True
        if self._call.bad:
            if self._call.begun:
                # Its arguments are complete; what follows them is not.
                parts.append(CallEnded())
                self.ended = True
            else:
                self._give_up(parts)
            return True
        return False

    def _give_up(self, parts: list[Part]) -> None:
        """Take what was held since the mark as text."""
        if self._called:
            self.ended = True
            return
        text, held = self._since_mark, self._held
        self._since_mark, self._place = "", "text"
        # A mark within it may still begin a call: only the first character of this one is certain.
        certain = len(text) - len(text.lstrip()) + 1
        parts.append(Text(text[:certain]))
        self._held = text[certain:] + held
