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
        self._held = ""
        #: A stop string was met; nothing comes through any more.
        self.met = False

    def feed(self, text: str) -> str:
        """Take the next piece of text and answer what can be shown of it and of what was held."""
        if self.met or not self._stop:
            return "" if self.met else text
        text = self._held + text
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self.met, self._held = True, ""
            _, start = min(found)
            return text[:start]
        shown = len(text) - max(partial_match(text, string) for string in self._stop)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """Answer what was held and was no stop string after all."""
        held, self._held = self._held, ""
        return held


def partial_match(text: str, string: str) -> int:
    """Count the characters at the end of `text` that `string` begins with, short of all of it."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
