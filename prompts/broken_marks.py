"""Encoding of texts that contain marks of the prompt format, so that a model cannot read them so.

A mark such as ``[INST]`` consists of ordinary tokens. Where a message contains one, no token may
span two of its characters: the ids then spell the mark, and decode to the text as it was typed.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

#: Characters that texts rarely have; one that a text lacks marks where it is cut. Those that are a
#: single byte are first, since they have fewest ids.
_SEPARATORS = tuple(map(chr, [*range(0x01, 0x09), *range(0xE000, 0xF8FF)]))


def mark_cuts(text: str, marks: Sequence[str]) -> list[int]:
    """Return the places in a text that no token may span: between the characters of its marks."""
    if not any(mark in text for mark in marks):
        return []
    found = re.finditer("|".join(map(re.escape, marks)), text)
    return [at for match in found for at in range(match.start() + 1, match.end())]


def encode_cut(encode: Callable[[str], list[int]], text: str, cuts: Sequence[int]) -> list[int]:
    """Return the ids of a text in which no token spans a cut; they decode to the same text.

    The text is encoded once, with a separator at each cut whose ids are then taken out: encoding
    the pieces by themselves would add a space in front of each of them.

    Args:
        encode: text to ids; `breaks_marks` says whether it is fit for this.
        cuts: places in the text, in ascending order.
    """
    separator = next(each for each in _SEPARATORS if each not in text)
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    return _without(encode(separator.join(pieces)), _separator_ids(encode, separator))


def breaks_marks(encode: Callable[[str], list[int]], marks: Sequence[str]) -> bool:
    """Return whether a tokenizer has other ids for a mark that is cut than for a whole one.

    It has not if it knows no token of two of the mark's characters, or if separators have no ids
    of their own.
    """
    runs = [_separator_ids(encode, each) for each in _SEPARATORS[:2]]
    if not all(runs) or runs[0] == runs[1]:
        return False
    for mark in marks:
        separated = encode(_SEPARATORS[0].join(mark))
        spelled = _without(separated, runs[0])
        if len(separated) - len(spelled) != len(runs[0]) * (len(mark) - 1):
            return False
        if spelled == encode(mark):
            return False
    return True


def _separator_ids(encode: Callable[[str], list[int]], separator: str) -> list[int]:
    # Of two, since a tokenizer may put a space before the first.
    return encode(separator * 2)[len(encode(separator)) :]


def _without(ids: list[int], run: list[int]) -> list[int]:
    """Return ids without each occurrence of a run of ids."""
    kept: list[int] = []
    length, at = len(run), 0
    while at < len(ids):
        if ids[at] == run[0] and ids[at : at + length] == run:
            at += length
        else:
            kept.append(ids[at])
            at += 1
    return kept
