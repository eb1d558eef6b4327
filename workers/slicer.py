"""From a model's new token ids to slices: text that can be shown and is never taken back.

The text depends on the ids only, not on how they were grouped, so replaying the ids of a log gives
another worker the same text and the same held-back end. The prompt's echo is never decoded.
"""

from codecs import utf_8_decode
from collections.abc import Sequence
from typing import Protocol

from turnstream.prompts.reply_text import ReplyText
from turnstream.workers.byte_table import FIRST_RAW_BYTE, ByteTable, to_bytes


class IdSlicer(Protocol):
    """Slices one reply, given only the ids of the reply."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all later text is dropped."""
        ...

    def feed(self, ids: Sequence[int], *, may_stop: bool = True) -> str:
        """Take new ids of the reply; return the text to show now, often none.

        Args:
            may_stop: False for ids in whose text no stop string is looked for; they come first.
        """
        ...

    def finish(self) -> str:
        """Return the text held back that is part of the reply."""
        ...


class MakeSlicer(Protocol):
    """Makes the slicer of one reply."""

    def __call__(
        self, prompt_ids: Sequence[int], stop: Sequence[str], *, begun: bool = False
    ) -> IdSlicer:
        """Return the slicer of the reply to a prompt.

        Args:
            stop: texts that end the reply.
            begun: the prompt ends within the reply, and not in white space.
        """
        ...


class Slicer:
    """Slices one reply by a table of bytes."""

    def __init__(
        self,
        table: ByteTable,
        *,
        stop: Sequence[str] = (),
        begun: bool = False,
    ) -> None:
        """Slice a reply; one that was `begun` keeps the white space before its new text."""
        self._table = table
        self._spelled = table.spelled
        self._reply = ReplyText(stop, begun=begun)
        #: The bytes of an incomplete character, at most three.
        self._pending = b""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all later text is dropped."""
        return self._reply.stopped

    def feed(self, ids: Sequence[int], *, may_stop: bool = True) -> str:
        """Take new ids of the reply; return the text to show now, often none."""
        spelled = self._spelled
        try:
            # Most steps add one id.
            text = spelled[ids[0]] if len(ids) == 1 else "".join([spelled[id] for id in ids])
        except IndexError:
            text = self._table.spell(ids)
        # Nearly all text is whole characters, which are only joined.
        if self._pending or (not text.isascii() and max(text) >= FIRST_RAW_BYTE):
            text = self._characters(text)
        return text if self._reply.transparent else self._reply.feed(text, may_stop=may_stop)

    def finish(self) -> str:
        """Return the text held back that is part of the reply; half a character is dropped."""
        self._pending = b""
        return self._reply.finish()

    def _characters(self, spelled: str) -> str:
        data = self._pending + to_bytes(spelled)
        # Invalid bytes become U+FFFD; the bytes of an incomplete character are kept.
        text, used = utf_8_decode(data, "replace", False)
        self._pending = data[used:]
        return text
