"""Pieces of prompt text between control tokens, and how long their echo is.

``<s>`` and ``</s>`` are tokens, not text. A tokenizer of the Llama kind puts one space of its own
in front of every piece it is given; decoding takes back the first of them only. So a decoded
prompt is longer than the text that went in by one character for each piece after the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BOS = "<s>"
EOS = "</s>"


@dataclass(frozen=True, slots=True)
class Segment:
    """Text that is tokenised by itself, and the control tokens around it."""

    text: str
    #: A BOS token stands before the text.
    bos: bool
    #: An EOS token stands after the text.
    eos: bool
    #: Places in the text that no token may span, so that no message forges a mark.
    cuts: tuple[int, ...] = ()


def join(segments: Sequence[Segment]) -> str:
    """Write segments as one text, with the control tokens spelled out."""
    return "".join(
        f"{BOS if segment.bos else ''}{segment.text}{EOS if segment.eos else ''}"
        for segment in segments
    )


def exact_echo_len(segments: Sequence[Segment], drift: int = 1) -> int:
    """Count the characters that segments decode to.

    Args:
        drift: characters added at each border between two segments: 1 for segments tokenised one
            by one; what the worker's probe of the tokenizer says for a prompt tokenised whole.
    """
    return sum(len(segment.text) for segment in segments) + drift * (len(segments) - 1)
