"""From the text a model added to the text a reader sees, a piece at a time.

The white space before a reply belongs to the prompt's last mark and is dropped, once. Stop strings
are looked for in what is left, and replacements are made in what is let through.
"""

from collections.abc import Sequence

from turnstream.workers.replacements import Replacements
from turnstream.workers.stop_strings import StopStrings


class ReplyText:
    """The steps behind every slicer, so that all of them show the same text."""

    def __init__(self, stop: Sequence[str], replacements: Sequence[tuple[str, str]]) -> None:
        self._begun = False
        self._stop = StopStrings(stop)
        self._replacements = Replacements(replacements)
        self._plain = not (any(stop) or replacements)
        #: From here on, text passes as it is, and need not be fed.
        self.transparent = False

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing follows."""
        return self._stop.met

    def feed(self, text: str) -> str:
        """Take the text that is new and answer what is safe to show."""
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
            self.transparent = self._begun and self._plain
        if self._plain or not text:
            return text
        shown = self._replacements.feed(self._stop.feed(text))
        return shown + self._replacements.finish() if self.stopped else shown

    def finish(self) -> str:
        """Answer what was held back and turned out to be text."""
        return self._replacements.feed(self._stop.finish()) + self._replacements.finish()
