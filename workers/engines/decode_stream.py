"""Slices for tokenizers whose ids have no bytes of their own, through ``tokenizers.DecodeStream``.

The stream must be primed with the prompt: begun empty, it takes the reply for the beginning of a
text and treats its first token otherwise.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from turnstream.prompts.reply_text import ReplyText


class StreamSlicer:
    """Cuts one reply into slices, as ``workers.slicer.Slicer`` does from a table."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_ids: Sequence[int],
        *,
        stop: Sequence[str] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt_ids = list(prompt_ids)
        self._stream = self._primed()
        self._reply = ReplyText(stop)

    @property
    def stopped(self) -> bool:
        """A stop string was met; nothing follows."""
        return self._reply.stopped

    def feed(self, ids: Sequence[int]) -> str:
        """Take ids, prompt excluded, and answer the text to show now; often there is none."""
        text = ""
        for id in ids:
            text += self._step(id)
        return self._reply.feed(text)

    def finish(self) -> str:
        """Answer what was held back and turned out to be text; half a character is dropped."""
        return self._reply.finish()

    def _step(self, id: int) -> str:
        try:
            return self._stream.step(self._tokenizer, id) or ""
        except Exception as exc:
            # A bare Exception is all the library raises when bytes that are no character make it
            # take text back. Those bytes are lost; this id is the first that can be read again.
            if "Invalid prefix" not in str(exc):
                raise
            self._stream = self._primed()
            return self._stream.step(self._tokenizer, id) or ""

    def _primed(self) -> DecodeStream:
        return DecodeStream(ids=self._prompt_ids, skip_special_tokens=True)
