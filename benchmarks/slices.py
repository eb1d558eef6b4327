"""The slices that the relay benchmark sends, and what is to be thought of those that arrive."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from turnstream.turns.events import text_delta


def slice_text(number: int) -> str:
    """Give the text of a turn's slice; no two of a turn are alike, and all are of one length."""
    return f" word{number:05d}"


def slice_event(turn_id: str, seq: int, number: int) -> str:
    """Write a slice as its event."""
    return text_delta(turn_id, seq, slice_text(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of slices."""

    delivered: int
    lost: int
    #: Came twice, or after a later one.
    misplaced: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            delivered=self.delivered + other.delivered,
            lost=self.lost + other.lost,
            misplaced=self.misplaced + other.misplaced,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def tally(frames: Iterable[str], slices: int) -> Tally:
    """Hold what one socket got against the slices that were sent to it, numbers 0 and up."""
    places = {slice_text(number): number for number in range(slices)}
    seen: set[int] = set()
    newest, misplaced = -1, 0
    for frame in frames:
        event = json.loads(frame)
        if event["type"] != "response.output_text.delta":
            continue
        number = places[event["delta"]]
        misplaced += number <= newest
        newest = max(newest, number)
        seen.add(number)
    return Tally(delivered=len(seen), lost=slices - len(seen), misplaced=misplaced)
