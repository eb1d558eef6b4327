"""Find out, at start, how a tokenizer's ids become text, or refuse it.

A tokenizer is believed for what it does, not for what its class is called: the same files behave
differently from one version of their library to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from turnstream.workers.byte_table import ByteTable
from turnstream.workers.slicer import IdSlicer, Slicer

#: Every way known to us in which decoders treat text unequally; none begins with white space.
_SAMPLES = (
    "Hello there, it's  two spaces .",
    "195 [INST] <<SYS>> </s >",
    "はい。それは 1997年です。",
    "naïve 😀👩\u200d👩\u200d👧 e\u0301",
    "one\ntwo\n\n\tthree",
)
#: Stands before each sample as a prompt does before a reply.
_PROMPT = "a"


class TokenizerKind(Enum):
    """The way to exact text for a tokenizer."""

    #: Every id stands for bytes of its own: a table says all.
    BYTES = "bytes of ids"
    #: Ids mean something only beside their neighbours: the library's own stream decodes them.
    STREAM = "decode stream"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about a tokenizer."""

    kind: TokenizerKind
    #: Characters of echo that a border ``</s><s>`` adds when a prompt is tokenised whole.
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
    """No way was found to show this tokenizer's text exactly."""


def probe(
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    *,
    table: ByteTable,
    stream: Callable[[Sequence[int]], IdSlicer] | None = None,
) -> Probe:
    """Choose between the table of bytes and the decode stream by trying both.

    Args:
        encode: adds no control tokens, reads those it finds in the text.
        decode: skips control tokens and cleans nothing up.
        stream: begins to slice what follows the prompt ids it is given; None if there is no such.

    Raises:
        TokenizerRefused: neither gives what `decode` gives; the message has the first difference.
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
            return f"{expected!r} comes out as {sliced!r}"
    return None
