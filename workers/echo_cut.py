"""Slices from an engine that gives back text with the prompt's echo in front.

The second door beside ``Slicer``, for engines that keep their ids to themselves. It is as exact as
text allows: a reply that ends in a U+FFFD of its own loses it, because decoders write the same
character for the bytes of an unfinished one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from turnstream.workers.reply_text import ReplyText

#: What decoders write for every byte of a run that is not a whole number of characters (yet).
_UNDECODED = "\ufffd"


@dataclass(slots=True)
class EchoCounts:
    """How often the turn-adjusted length was wrong; one for all turns of a worker."""

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
            exact_len: characters of echo by the segments, or None where nobody knows them.
        """
        counts.turns += 1
        if exact_len not in (None, skip_echo_len):
            counts.mismatches += 1
        self._shown = skip_echo_len if exact_len is None else exact_len
        self._reply = ReplyText(stop, replacements)

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing follows."""
        return self._reply.stopped

    def feed(self, decoded: str) -> str:
        """Take all text decoded so far, echo included, and answer the text to show now.

        While a character is unfinished, decoders may spell the whole ones before it as U+FFFD too:
        text can shrink for a moment. What was shown stays, and nothing is shown until it grows.
        """
        settled = decoded.rstrip(_UNDECODED)
        if len(settled) <= self._shown:
            return ""
        new = settled[self._shown :]
        self._shown = len(settled)
        return self._reply.feed(new)

    def finish(self) -> str:
        """Answer what was held back and turned out to be text; half a character is dropped."""
        return self._reply.finish()
