"""Slices from an engine that returns text with the prompt's echo in front.

For engines that do not return ids; `workers.slicer.Slicer` is exact for those that do. This is as
exact as text allows: a reply that ends in a U+FFFD of its own loses it, because decoders write the
same character for the bytes of an unfinished one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnstream.prompts.chatstream.replacements import Replacements
from turnstream.prompts.reply_text import ReplyText

#: Decoders write this for each byte of a sequence that is not a whole number of characters (yet).
_UNDECODED = "\ufffd"


@dataclass(slots=True)
class EchoCounts:
    """How often the turn-adjusted length was wrong, over many turns."""

    turns: int = 0
    mismatches: int = 0


class EchoCut:
    """Cuts one reply out of decoded text that begins with its prompt."""

    def __init__(
        self,
        skip_echo_len: int,
        *,
        exact_len: int | None,
        counts: EchoCounts,
        stop: Sequence[str] = (),
        replacements: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Cut at the turn-adjusted length, or at the exact one where the two disagree.

        Args:
            skip_echo_len: characters of echo by ChatStream's rule (``get_skip_len``).
            exact_len: characters of echo by the segments, or None if they are unknown.
        """
        counts.turns += 1
        if exact_len not in (None, skip_echo_len):
            counts.mismatches += 1
        self._shown = skip_echo_len if exact_len is None else exact_len
        self._reply = ReplyText(stop)
        self._replacements = Replacements(replacements)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all later text is dropped."""
        return self._reply.stopped

    def feed(self, decoded: str) -> str:
        """Take all text decoded so far, echo included; return the text to show now.

        While a character is unfinished, decoders may spell the whole ones before it as U+FFFD too:
        text can shrink for a moment. Text once shown stays, and nothing is added until it grows.
        """
        settled = decoded.rstrip(_UNDECODED)
        if len(settled) <= self._shown:
            return ""
        new = settled[self._shown :]
        self._shown = len(settled)
        shown = self._replacements.feed(self._reply.feed(new))
        return shown + self._replacements.finish() if self.stopped else shown

    def finish(self) -> str:
        """Return the text held back that is part of the reply; half a character is dropped."""
        return self._replacements.feed(self._reply.finish()) + self._replacements.finish()
