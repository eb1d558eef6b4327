"""Chooses, once at start, how the ids of a model become the text that readers see.

The tokenizer is tried, not trusted: what it does differs between versions of the same library.
"""

import logging
from collections.abc import Callable, Sequence

from turnstream.workers.byte_table import ByteTable
from turnstream.workers.engine import CheckpointError
from turnstream.workers.engines.decode_stream import StreamSlicer
from turnstream.workers.engines.tokenizer import LlamaTokenizer
from turnstream.workers.slicer import IdSlicer, Slicer
from turnstream.workers.tokenizer_probe import TokenizerKind, TokenizerRefused, probe

log = logging.getLogger(__name__)


def slicers(tokenizer: LlamaTokenizer) -> Callable[[Sequence[int], Sequence[str]], IdSlicer]:
    """Give what makes the slicer of a reply to some prompt ids, with its stop strings.

    Raises:
        CheckpointError: no way is known to show this tokenizer's text exactly.
    """
    table = ByteTable.from_tokens(tokenizer.tokens, tokenizer.control_ids)

    def stream(prompt_ids: Sequence[int], stop: Sequence[str] = ()) -> IdSlicer:
        return StreamSlicer(tokenizer.core, prompt_ids, stop=stop)

    try:
        found = probe(tokenizer.read, tokenizer.decode, table=table, stream=stream)
    except TokenizerRefused as exc:
        raise CheckpointError(str(exc)) from exc
    log.info("tokenizer: %s", found)
    match found.kind:
        case TokenizerKind.BYTES:
            return lambda _, stop: Slicer(table, stop=stop)
        case TokenizerKind.STREAM:
            return stream
