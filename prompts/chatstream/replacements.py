"""Replace strings in a text that arrives incrementally.

The result is that of ``str.replace``, one pair after the other over the whole text.
"""

from collections.abc import Sequence

from turnstream.prompts.reply_text import prefix_length, proper_prefixes


class Replacement:
    """Replaces one string, holding back an end of the text that may be a prefix of it."""

    def __init__(self, old: str, new: str) -> None:
        if not old:
            raise ValueError("an empty string cannot be replaced")
        self._old = old
        self._new = new
        self._prefixes = proper_prefixes([old])
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next text; return what no later text can change."""
        *settled, rest = (self._held + text).split(self._old)
        cut = len(rest) - prefix_length(rest, self._prefixes)
        self._held = rest[cut:]
        return self._new.join([*settled, rest[:cut]])

    def finish(self) -> str:
        """Return the text held back, which needs no replacement."""
        held, self._held = self._held, ""
        return held


class Replacements:
    """Several replacements, each applied to the result of the one before."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._stages = [Replacement(old, new) for old, new in pairs]

    def feed(self, text: str) -> str:
        """Take the next text; return what no later text can change."""
        for stage in self._stages:
            text = stage.feed(text)
        return text

    def finish(self) -> str:
        """Return the text held back, which needs no replacement."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.finish()
        return text
