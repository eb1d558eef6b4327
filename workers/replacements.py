"""Replace strings in a text that arrives in pieces.

The result is that of ``str.replace``, one pair after the other over the whole text.
"""

from collections.abc import Sequence

from turnstream.workers.stop_strings import beginnings, begun


class Replacement:
    """Replaces one string, holding back an end of the text that may be the beginning of it."""

    def __init__(self, old: str, new: str) -> None:
        if not old:
            raise ValueError("an empty string cannot be replaced")
        self._old = old
        self._new = new
        self._beginnings = beginnings([old])
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece of text and answer what is settled."""
        *settled, rest = (self._held + text).split(self._old)
        cut = len(rest) - begun(rest, self._beginnings)
        self._held = rest[cut:]
        return self._new.join([*settled, rest[:cut]])

    def finish(self) -> str:
        """Answer what was held and needs no replacing."""
        held, self._held = self._held, ""
        return held


class Replacements:
    """Replacements one behind the other, each seeing what the one before made."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._stages = [Replacement(old, new) for old, new in pairs]

    def feed(self, text: str) -> str:
        """Take the next piece of text and answer what is settled."""
        for stage in self._stages:
            text = stage.feed(text)
        return text

    def finish(self) -> str:
        """Answer what was held and needs no replacing."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.finish()
        return text
