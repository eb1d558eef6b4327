"""What all benchmarks share: timing in turns, a table for people, one line of JSON for machines.

Only ratios mean anything: machines drift by half within minutes, so what is compared is measured
in turns in one run, and each keeps its best round.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    case: str
    #: Our figure and the other's, in `unit`.
    ours: float
    theirs: float
    unit: str
    #: What ours is held against.
    against: str
    #: How many times better ours is; above 1 is better, whichever way the unit counts.
    ratio: float
    #: The least ratio the project promises, if it promises one.
    floor: float | None = None


def in_turns(peers: Mapping[str, Callable[[], object]], *, rounds: int = 5) -> dict[str, float]:
    """Run the peers one after the other, several rounds; answer each one's best seconds."""
    return {name: min(taken) for name, taken in in_rounds(peers, rounds=rounds).items()}


def in_rounds(
    peers: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Run the peers one after the other, several rounds; answer each one's seconds by round.

    Each round begins with another one of them.
    """
    taken: dict[str, list[float]] = {name: [] for name in peers}
    order = list(peers)
    for _ in range(rounds):
        for name in order:
            start = clock()
            peers[name]()
            taken[name].append(clock() - start)
        order.append(order.pop(0))
    return taken


def median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median of what each round says, so that one disturbed round decides nothing."""
    return median(their / our for their, our in zip(theirs, ours, strict=True))


def wants_json(description: str) -> bool:
    """Read the command line that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return bool(parser.parse_args().json)


def report(rows: Sequence[Row], as_json: bool) -> None:
    """Print the table, and as the last line the same in JSON if it is wanted."""
    print(f"{'case':<32}{'ours':>12}{'theirs':>12}  {'unit':<12}{'ratio':>9}{'floor':>8}  against")
    for row in rows:
        floor = "" if row.floor is None else f"{row.floor:g}"
        print(
            f"{row.case:<32}{row.ours:>12.3g}{row.theirs:>12.3g}  {row.unit:<12}"
            f"{row.ratio:>9.3g}{floor:>8}  {row.against}"
        )
    if as_json:
        print(
            json.dumps(
                {
                    row.case: {
                        "ratio": row.ratio,
                        "ours": row.ours,
                        "against": row.against,
                        "floor": row.floor,
                    }
                    for row in rows
                }
            )
        )
