"""What one answer was like for its reader, and what all of them were like together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnstream.cli.loadtest.options import Target

SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. Times are seconds since the question was sent."""

    #: Until a worker began with it; None: never.
    waited: float | None = None
    first_slice: float | None = None
    ended: float | None = None
    gaps: tuple[float, ...] = ()
    tokens: int = 0
    reconnected: bool = False
    #: The code of a refusal or failure; '' when there is an answer.
    error: str = ""
    #: What was wrong with the events or the text: lost, doubled, or other than what is stored.
    damage: str = ""

    def meets(self, target: Target) -> bool:
        """Return whether this reader got what all are to get."""
        return (
            not self.error
            and not self.damage
            and self.first_slice is not None
            and self.first_slice <= target.first_slice_seconds
            and max(self.gaps, default=0.0) <= target.gap_seconds
        )


@dataclass(slots=True)
class Tally:
    """All answers of one run."""

    answers: list[Answer] = field(default_factory=list)
    people: int = 0
    #: Of these, who have asked all that they wanted to.
    finished: int = 0
    #: People for whom there was no room in this process.
    turned_away: int = 0

    def summary(self, target: Target, seconds: float) -> dict[str, Any]:
        """Return the figures of a run that took so long."""
        good = [each for each in self.answers if not each.error]
        met = sum(each.meets(target) for each in self.answers)
        first = [each.first_slice for each in good if each.first_slice is not None]
        gaps = [gap for each in good for gap in each.gaps]
        return {
            "people": self.people,
            "turned_away": self.turned_away,
            "answers": len(good),
            "reconnected": sum(each.reconnected for each in good),
            "damaged": sum(bool(each.damage) for each in self.answers),
            "errors": dict(Counter(each.error for each in self.answers if each.error)),
            "answers_per_second": len(good) / seconds,
            "tokens_per_second": sum(each.tokens for each in good) / seconds,
            "goodput_per_second": met / seconds,
            "wait_seconds": percentiles(each.waited for each in good),
            "first_slice_seconds": percentiles(first),
            "gap_seconds": percentiles(gaps),
            "turn_seconds": percentiles(each.ended for each in good),
            "met_target": self.meets(target),
        }

    def meets(self, target: Target) -> bool:
        """Return whether 95 of 100 got what all are to get, and nobody an error or damage."""
        if not self.answers or any(each.error or each.damage for each in self.answers):
            return False
        first = [each.first_slice or 0.0 for each in self.answers]
        gaps = [gap for each in self.answers for gap in each.gaps]
        return (
            self.turned_away == 0
            and percentile(first, 0.95) <= target.first_slice_seconds
            and percentile(gaps, 0.95) <= target.gap_seconds
        )


def percentiles(values: Iterable[float | None]) -> dict[str, float]:
    """Return the percentiles that are reported, by name; none without a value."""
    known = [value for value in values if value is not None]
    return {f"p{share * 100:g}": percentile(known, share) for share in SHARES} if known else {}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that is not below so large a share of all; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
