"""What a check of an engine on this machine has found, in words and as JSON.

A slow part leaves a machine fit: the engine does without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a part of the check says."""

    OK = "ok"
    #: Right, but not as fast as it could be.
    SLOW = "slow"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the check."""

    name: str
    verdict: Verdict
    #: One line.
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a number of turns is answered together."""

    turns: int
    tokens_per_second: float
    #: The same if a step took no longer than reading weights, keys and values from memory.
    memory_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole check."""

    #: Device, processor and versions.
    machine: Mapping[str, str]
    model: Mapping[str, str]
    parts: Sequence[Part]
    #: Measured, bytes a second.
    memory_bandwidth: float
    speeds: Sequence[Speed]

    @property
    def fit(self) -> bool:
        """Whether the engine's answers on this machine are right."""
        return all(part.verdict is not Verdict.WRONG for part in self.parts)

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON values."""
        return {"fit": self.fit, **asdict(self)}

    def lines(self) -> list[str]:
        """Return everything in words."""
        return [
            *(f"{name:<14} {value}" for name, value in {**self.machine, **self.model}.items()),
            "",
            *(f"{part.verdict:<6} {part.name}: {part.found}" for part in self.parts),
            "",
            f"memory is read at {self.memory_bandwidth / 1e9:.1f} GB/s; answers of",
            *(
                f"{speed.turns:>4} turns together: {speed.tokens_per_second:,.0f} tokens/s,"
                f" {speed.tokens_per_second / speed.memory_limit:.2f} of what memory allows"
                for speed in self.speeds
            ),
            "",
            "this machine is fit" if self.fit else "this machine is NOT fit: answers are wrong",
        ]
