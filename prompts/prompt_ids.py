"""From segments to token ids, leaving out old turns when there is no room for them.

Control tokens are added as ids and every segment is tokenised by itself: whole text would give
other ids from one tokenizer version to the next, and would let users type control tokens.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnstream.prompts.broken_marks import encode_cut
from turnstream.prompts.errors import PromptTooLong
from turnstream.prompts.segments import Segment, exact_echo_len


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptIds:
    """A prompt as the model takes it."""

    ids: list[int]
    #: Turns left out at the old end, because the prompt would not fit with them.
    dropped_turns: int
    #: Characters these very ids decode to, control tokens skipped.
    echo_len: int


class PromptEncoder:
    """Encodes segments, each different text once."""

    def __init__(self, encode: Callable[[str], list[int]], *, bos_id: int, eos_id: int) -> None:
        self._encode = encode
        self._bos_id = bos_id
        self._eos_id = eos_id
        self._encoded: dict[tuple[str, tuple[int, ...]], list[int]] = {}

    def ids(self, segments: Sequence[Segment]) -> list[int]:
        """Join the ids of segments; the first always gets a BOS, as in all training data."""
        ids: list[int] = []
        for index, segment in enumerate(segments):
            ids += [self._bos_id] if segment.bos or index == 0 else []
            ids += self._text_ids(segment)
            ids += [self._eos_id] if segment.eos else []
        return ids

    def _text_ids(self, segment: Segment) -> list[int]:
        text, cuts = key = segment.text, segment.cuts
        if key not in self._encoded:
            self._encoded[key] = (
                encode_cut(self._encode, text, cuts) if cuts else self._encode(text)
            )
        return self._encoded[key]


def fit(
    segments_without: Callable[[int], Sequence[Segment]],
    encoder: PromptEncoder,
    *,
    droppable: int,
    limit: int | None,
) -> PromptIds:
    """Encode the conversation without its oldest turns, leaving out as few as the limit allows.

    Args:
        segments_without: renders the conversation without so many of its oldest turns.
        droppable: turns that may be left out.
        limit: tokens the prompt may have, or None.

    Raises:
        PromptTooLong: the prompt has too many tokens even without all droppable turns.
    """

    def without(turns: int) -> PromptIds:
        segments = segments_without(turns)
        ids = encoder.ids(segments)
        return PromptIds(ids=ids, dropped_turns=turns, echo_len=exact_echo_len(segments))

    whole = without(0)
    if limit is None or len(whole.ids) <= limit:
        return whole
    # Each turn left out makes the prompt shorter, so the fewest can be found by halving.
    fewest = 1 + bisect_left(
        range(1, droppable + 1), True, key=lambda turns: len(without(turns).ids) <= limit
    )
    shortest = without(min(fewest, droppable))
    if fewest > droppable:
        raise PromptTooLong(len(shortest.ids), limit)
    return shortest
