"""From the ids of an answer to its parts: text for the reader, and calls of tools.

The parts depend on the ids only, not on how they were grouped.
"""

from collections.abc import Sequence

from turnstream.prompts.reply_text import StopStrings
from turnstream.prompts.tools import CallReader, Part, Text
from turnstream.workers.slicer import IdSlicer


class AnswerReader:
    """Reads one answer.

    Args:
        slicer: knows the stop strings, unless there are `calls`.
        calls: reads the calls of tools; None: the answer is text.
        stop: with `calls`, texts that end the answer, but not within a call.
    """

    def __init__(
        self, slicer: IdSlicer, calls: CallReader | None = None, stop: Sequence[str] = ()
    ) -> None:
        self._slicer = slicer
        self._calls = calls
        self._stop = StopStrings(stop) if calls and any(stop) else None

    @property
    def stopped(self) -> bool:
        """Whether nothing that follows is part of the answer."""
        if self._calls is None:
            return self._slicer.stopped
        return self._calls.ended or (self._stop is not None and self._stop.met)

    def feed(self, ids: Sequence[int], *, may_stop: bool = True) -> list[Part]:
        """Take new ids; return the parts to show now, often none.

        Args:
            may_stop: False for ids in whose text no stop string is looked for; they come first.
        """
        text = self._slicer.feed(ids, may_stop=may_stop)
        if self._calls is None:
            return [Text(text)] if text else []
        if self.stopped:
            return []
        parts = self._calls.feed(text)
        return self._until_stop(parts) if may_stop else parts

    def finish(self, *, cut: bool) -> list[Part]:
        """Return the parts that were held back.

        Args:
            cut: the model was stopped before the end of its answer.
        """
        text = self._slicer.finish()
        if self._calls is None:
            return [Text(text)] if text else []
        if self.stopped:
            return []
        parts = [*self._calls.feed(text), *self._calls.finish(cut=cut)]
        shown = self._until_stop(parts)
        if self._stop and not self._stop.met:
            shown.append(Text(self._stop.finish()))
        return shown

    def _until_stop(self, parts: list[Part]) -> list[Part]:
        if self._stop is None:
            return parts
        shown: list[Part] = []
        for part in parts:
            if isinstance(part, Text):
                shown.append(Text(self._stop.feed(part.text)))
                if self._stop.met:
                    break
            else:
                # Text ends where calls begin: what is held back of it is no stop string.
                shown += [Text(self._stop.finish()), part]
        return shown
