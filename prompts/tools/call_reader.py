"""Reads the text of one call element by element; what an element is, each notation says itself.

An element that is not complete stays until more text comes, so a reader may be fed any pieces.
"""

from turnstream.prompts.tools.parts import Part


class CallReader:
    """One call while its text comes; a notation fills in `done` and `_step`."""

    def __init__(self) -> None:
        #: Text that is not understood yet.
        self._rest = ""
        #: Whether it is certain to be a call.
        self.begun = False
        #: Whether it is not a call, or not one any more.
        self.bad = False

    @property
    def done(self) -> bool:
        """Whether the call is complete."""
        raise NotImplementedError

    def feed(self, text: str) -> tuple[list[Part], str]:
        """Take the next text; return what is certain, and the text behind the call."""
        self._rest += text
        parts: list[Part] = []
        while not (self.done or self.bad) and self._step(parts):
            pass
        behind = ""
        if self.done:
            behind, self._rest = self._rest, ""
        return parts, behind

    def _step(self, parts: list[Part]) -> bool:
        """Read the next element; return False if more text is needed."""
        raise NotImplementedError
