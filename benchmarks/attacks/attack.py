"""What an attack is: a figure that is to stay small, and how to get it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.attacks.target import Target


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attack:
    """One row of the table."""

    #: The row of the issue's own table.
    row: str
    name: str
    unit: str
    run: Callable[[Target], Awaitable[float]]
    #: What the project promises: at most this, or for a rate at least this many times the peer's.
    most: float | None = None
    most_of_peer: float | None = None
    least_of_peer: float | None = None
    #: It only waits, so it may run at the same time as others, against the same server.
    waits: bool = False
    #: The bare server has nothing of the kind.
    alone: bool = False
    #: Settings of ours.
    environ: Mapping[str, str] = field(default_factory=dict)
    #: Descriptors that the server may have.
    descriptors: int | None = None

    def holds(self, ours: float, peer: float | None) -> bool:
        """Return whether the promise is kept; `peer` is None when the row is ours alone."""
        if self.most is not None and ours > self.most:
            return False
        return peer is None or (
            (self.most_of_peer is None or ours <= self.most_of_peer * peer)
            and (self.least_of_peer is None or ours >= self.least_of_peer * peer)
        )

    @property
    def promise(self) -> str:
        """Return the promise as the table shows it."""
        if self.most is not None:
            return f"≤ {self.most:g}"
        if self.most_of_peer is not None:
            return f"≤ {self.most_of_peer:g} ×"
        return "" if self.least_of_peer is None else f"≥ {self.least_of_peer:g} ×"
