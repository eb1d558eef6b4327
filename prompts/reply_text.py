"""From the text a model added to the text that readers see, incrementally.

White space before a reply belongs to the prompt's last mark and is dropped once; not where the text
goes on from an earlier one. Then the text ends
where a stop string begins. Of several stop strings the one that is *complete* first wins, not the
one that begins first: only that does not depend on how the text was cut.
"""

from collections.abc import Sequence


class StopStrings:
    """Passes text up to a stop string, holding back what may turn out to be one."""

    def __init__(self, stop: Sequence[str]) -> None:
        # An empty string would stop every text before its start, so it is ignored.
        self._stop = tuple(string for string in stop if string)
        self._prefixes = proper_prefixes(self._stop)
        self._held = ""
        #: A stop string was met; all later text is dropped.
        self.met = False

    def feed(self, text: str) -> str:
        """Take the next text; return what can be shown of it and of the text held back."""
        if self.met:
            return ""
        text = self._held + text
        found = [(at + len(s), at) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self.met, self._held = True, ""
            _, start = min(found)
            return text[:start]
        shown = len(text) - prefix_length(text, self._prefixes)
        self._held = text[shown:]
        return text[:shown]

    def finish(self) -> str:
        """Return the text held back, which is no stop string after all."""
        held, self._held = self._held, ""
        return held


class ReplyText:
    """The steps from model text to reader text, the same for every slicer."""

    def __init__(self, stop: Sequence[str], *, begun: bool = False) -> None:
        self._begun = begun
        self._stop = StopStrings(stop)
        self._has_stop = any(stop)
        #: From here on, text passes unchanged and need not be fed.
        self.transparent = begun and not self._has_stop

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all later text is dropped."""
        return self._stop.met

    def feed(self, text: str, *, may_stop: bool = True) -> str:
        """Take the new text; return what is safe to show.

        Args:
            may_stop: False for text in which no stop string is looked for; it comes first.
        """
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
            self.transparent = self._begun and not self._has_stop
        if not (self._has_stop and may_stop and text):
            return text
        return self._stop.feed(text)

    def finish(self) -> str:
        """Return the text held back, which is part of the reply after all."""
        return self._stop.finish()


def proper_prefixes(strings: Sequence[str]) -> tuple[str, ...]:
    """Return all proper prefixes of strings, longest first."""
    parts = {string[:length] for string in strings for length in range(1, len(string))}
    return tuple(sorted(parts, key=len, reverse=True))


def prefix_length(text: str, prefixes: tuple[str, ...]) -> int:
    """Return the length of the first of these prefixes that ends a text, or 0."""
    if not text.endswith(prefixes):
        return 0
    return next(len(prefix) for prefix in prefixes if text.endswith(prefix))
