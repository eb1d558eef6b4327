"""Slicers for the tokenizers of checkpoints, and the choice between them at start.

The choice is made by trying the tokenizer, because the same files behave differently with different
versions of its library.
"""

import logging
from collections.abc import Collection, Mapping, Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from turnstream.prompts.reply_text import ReplyText
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.tokenizer import LlamaTokenizer
from turnstream.workers.slicer import IdSlicer, MakeSlicer, Slicer
from turnstream.workers.tokenizer_probe import TokenizerKind, TokenizerRefused, probe

log = logging.getLogger(__name__)


def slicers(tokenizer: LlamaTokenizer, *, spelled: Collection[int] = ()) -> MakeSlicer:
    """Return a function that makes the slicer of a reply.

    Args:
        spelled: control ids that are shown as their tokens are written.

    Raises:
        CheckpointError: no slicer shows this tokenizer's text exactly.
    """
    table = byte_table(tokenizer)

    def stream(
        prompt_ids: Sequence[int], stop: Sequence[str] = (), *, begun: bool = False
    ) -> IdSlicer:
        written = {id: tokenizer.tokens[id] for id in spelled}
        return StreamSlicer(tokenizer.core, prompt_ids, stop=stop, begun=begun, spelled=written)

    try:
        found = probe(tokenizer.read, tokenizer.decode, table=table, stream=stream)
    except TokenizerRefused as exc:
        raise CheckpointError(str(exc)) from exc
    log.info("tokenizer: %s", found)
    shown = byte_table(tokenizer, spelled=spelled) if spelled else table

    def by_bytes(
        prompt_ids: Sequence[int], stop: Sequence[str], *, begun: bool = False
    ) -> IdSlicer:
        return Slicer(shown, stop=stop, begun=begun)

    match found.kind:
        case TokenizerKind.BYTES:
            return by_bytes
        case TokenizerKind.STREAM:
            return stream


def byte_table(tokenizer: LlamaTokenizer, *, spelled: Collection[int] = ()) -> ByteTable:
    """Return the bytes of a tokenizer's ids; `spelled` control ids have those of their tokens."""
    return ByteTable.from_tokens(
        tokenizer.tokens,
        tokenizer.control_ids.difference(spelled),
        byte_level=tokenizer.byte_level,
    )


class StreamSlicer:
    """Slices one reply of a tokenizer whose ids have no bytes of their own.

    The decode stream is given the prompt first: without it, the stream would treat the reply's
    first token as the start of a text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_ids: Sequence[int],
        *,
        stop: Sequence[str] = (),
        begun: bool = False,
        spelled: Mapping[int, str] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._spelled = spelled or {}
        self._prompt_ids = list(prompt_ids)
        self._stream = self._primed()
        self._reply = ReplyText(stop, begun=begun)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all later text is dropped."""
        return self._reply.stopped

    def feed(self, ids: Sequence[int], *, may_stop: bool = True) -> str:
        """Take new ids of the reply; return the text to show now, often none."""
        text = ""
        for id in ids:
            text += self._step(id)
        return self._reply.feed(text, may_stop=may_stop)

    def finish(self) -> str:
        """Return the text held back that is part of the reply; half a character is dropped."""
        return self._reply.finish()

    def _step(self, id: int) -> str:
        if id in self._spelled:
            return self._spelled[id]
        try:
            return self._stream.step(self._tokenizer, id) or ""
        except Exception as exc:
            # The library raises a bare Exception when invalid bytes make it take text back. These
            # bytes are dropped, and decoding starts again with this id.
            if "Invalid prefix" not in str(exc):
                raise
            self._stream = self._primed()
            return self._stream.step(self._tokenizer, id) or ""

    def _primed(self) -> DecodeStream:
        return DecodeStream(ids=self._prompt_ids, skip_special_tokens=True)
