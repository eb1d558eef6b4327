"""From a model's new token ids to slices: text that is safe to show now and never taken back.

What is shown depends on the ids alone, not on how they were grouped, so replaying the ids of a log
brings another worker to the same text and the same held-back rest. No echo is ever decoded here.
"""

from codecs import utf_8_decode
from collections.abc import Sequence
from typing import Protocol

from turnstream.prompts.reply_text import ReplyText
from turnstream.workers.byte_table import FIRST_RAW_BYTE, ByteTable, to_bytes


class IdSlicer(Protocol):
    """Anything that cuts one reply into slices, given the ids of the reply alone."""

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing follows."""
        ...

    def feed(self, ids: Sequence[int]) -> str:
        """Take ids and answer the text to show now; often there is none."""
        ...

    def finish(self) -> str:
        """Answer what was held back and turned out to be text."""
        ...


class Slicer:
    """Cuts one reply into slices."""

    def __init__(
        self,
        table: ByteTable,
        *,
        stop: Sequence[str] = (),
    ) -> None:
        self._table = table
        self._spelled = table.spelled
        self._reply = ReplyText(stop)
        #: The bytes of a character that has begun, three at most.
        self._pending = b""

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing follows."""
        return self._reply.stopped

    def feed(self, ids: Sequence[int]) -> str:
        """Take ids, prompt excluded, and answer the text to show now; often there is none."""
        spelled = self._spelled
        try:
            # A step mostly adds one id.
            text = spelled[ids[0]] if len(ids) == 1 else "".join([spelled[id] for id in ids])
        except IndexError:
            text = self._table.spell(ids)
        # Nearly all text is whole characters, which need no more than joining.
        if self._pending or (not text.isascii() and max(text) >= FIRST_RAW_BYTE):
            text = self._characters(text)
        return text if self._reply.transparent else self._reply.feed(text)

    def finish(self) -> str:
        """Answer what was held back and turned out to be text; half a character is dropped."""
        self._pending = b""
        return self._reply.finish()

    def _characters(self, spelled: str) -> str:
        data = self._pending + to_bytes(spelled)
        # Bytes that can belong to no character become U+FFFD; an unfinished character waits.
        text, used = utf_8_decode(data, "replace", False)
        self._pending = data[used:]
        return text
