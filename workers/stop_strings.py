"""End a text where a stop string begins, though it arrives in pieces.

The string that is *complete* first wins, not the one that begins first: only that can be decided
alike however the text was cut up.
"""

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to a stop string, holding back what may turn out to be one."""

    def __init__(self, stop: Sequence[str]) -> None:
        #: An empty string would stop every text before it began, so it stops none.
        self._stop = tuple(string for string in stop if string)
        self._beginnings = beginnings(self._stop)
        self._held = ""
        #: A stop string was met; nothing comes through any more.
        self.met = False

    def feed(self, text: str) -> str:
        """Take the next piece of text and answer what can be shown of it and of what was held."""
        if self.met:
            return ""
        text = self._held + text
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self.met, self._held = True, ""
            _, start = min(found)
            return text[:start]
        shown = len(text) - begun(text, self._beginnings)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """Answer what was held and was no stop string after all."""
        held, self._held = self._held, ""
        return held


def beginnings(strings: Sequence[str]) -> tuple[str, ...]:
    """List everything that strings can begin with, short of all of it, longest first."""
    parts = {string[:length] for string in strings for length in range(1, len(string))}
    return tuple(sorted(parts, key=len, reverse=True))


def begun(text: str, parts: tuple[str, ...]) -> int:
    """Count the characters at the end of a text that are one of the parts, longest first."""
    if not text.endswith(parts):
        return 0
    return next(len(part) for part in parts if text.endswith(part))
