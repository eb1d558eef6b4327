"""Find out, at start, how a tokenizer's ids become text, or refuse the tokenizer.

Its behaviour is tested, not its class name: the same files behave differently with different
versions of their library.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import IdSlicer, Slicer

#: All known cases in which decoders differ; none begins with white space.
_SAMPLES = (
    "Hello there, it's  two spaces .",
    "195 [INST] <<SYS>> </s >",
    "はい。それは 1997年です。",
    "naïve 😀👩\u200d👩\u200d👧 e\u0301",
    "one\ntwo\n\n\tthree",
)
#: Precedes each sample as a prompt precedes a reply.
_PROMPT = "a"


class TokenizerKind(Enum):
    """How a tokenizer's ids are turned into exact text."""

    #: Every id has bytes of its own: a table is enough.
    BYTES = "bytes of ids"
    #: The text of an id depends on its neighbours: the library's stream decodes them.
    STREAM = "decode stream"


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of probing a tokenizer."""

    kind: TokenizerKind
    #: Characters that a border ``</s><s>`` adds to the echo of a prompt tokenised as a whole.
    drift: int

    def __str__(self) -> str:
        match self.drift:
            case 0:
                borders = "text after </s><s> gets no space of its own"
            case 1:
                borders = "text after </s><s> gets a space of its own"
            case _:
                borders = "</s> and <s> are not read as control tokens"
        return f"{self.kind.value}; {borders} (drift {self.drift})"


class TokenizerRefused(Exception):
    """No slicer shows this tokenizer's text exactly."""


def probe(
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    *,
    table: ByteTable,
    stream: Callable[[Sequence[int]], IdSlicer] | None = None,
) -> Probe:
    """Choose between the byte table and the decode stream by trying both.

    Args:
        encode: adds no control tokens, and reads those spelled out in the text.
        decode: skips control tokens, and cleans nothing up.
        stream: makes a slicer for the reply to prompt ids; None if the library has no stream.

    Raises:
        TokenizerRefused: both differ from `decode`; the message has the first difference.
    """
    drift = len(decode(encode("a</s><s>b"))) - len("ab")
    prompt_ids = encode(_PROMPT)
    difference = _difference(encode, decode, prompt_ids, lambda _: Slicer(table))
    if difference is None:
        return Probe(TokenizerKind.BYTES, drift)
    if stream and (difference := _difference(encode, decode, prompt_ids, stream)) is None:
        return Probe(TokenizerKind.STREAM, drift)
    raise TokenizerRefused(f"this tokenizer's text cannot be sliced exactly: {difference}")


def _difference(
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    prompt_ids: Sequence[int],
    begin: Callable[[Sequence[int]], IdSlicer],
) -> str | None:
    echo = decode(prompt_ids)
    for sample in _SAMPLES:
        ids = encode(sample)
        expected = decode([*prompt_ids, *ids]).removeprefix(echo).lstrip()
        slicer = begin(prompt_ids)
        sliced = "".join([slicer.feed([id]) for id in ids]) + slicer.finish()
        if sliced != expected:
            return f"expected {expected!r}, got {sliced!r}"
    return None
