"""Timing, statistics and output of every benchmark: a table, and on request one line of JSON.

Only ratios are comparable between runs: a machine's speed drifts by half within minutes, so both
sides of a comparison are measured alternately in one run.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison."""

    case: str
    #: Our figure and the peer's, in `unit`.
    ours: float
    theirs: float
    unit: str
    #: What ours is compared with.
    against: str
    #: How many times better ours is; above 1 is better, also where a lower figure is better.
    ratio: float
    #: The lowest ratio that the project promises; None: nothing is promised.
    floor: float | None = None


def best_seconds(runs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Call the functions alternately for some rounds; return the shortest time of each."""
    return {name: min(taken) for name, taken in in_rounds(runs, rounds=rounds).items()}


def in_rounds(runs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Call the functions alternately for some rounds; return the seconds of each by round.

    Each round begins with a different function, so that none always runs first.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for _ in range(rounds):
        for name in order:
            start = time.perf_counter()
            runs[name]()
            taken[name].append(time.perf_counter() - start)
        order.append(order.pop(0))
    return taken


def median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median of the ratios by round; one disturbed round does not change it much."""
    return median(their / our for their, our in zip(theirs, ours, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values do not exceed.

    Args:
        values: at least one, in any order.
        share: above 0, at most 1.
    """
    return sorted(values)[math.ceil(len(values) * share) - 1]


def wants_json(description: str) -> bool:
    """Parse the command line that every benchmark has; return whether `--json` is given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return bool(parser.parse_args().json)


def report(rows: Sequence[Row], as_json: bool) -> None:
    """Print the table, and with `as_json` the same in JSON as the last line."""
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
                        "theirs": row.theirs,
                        "unit": row.unit,
                        "against": row.against,
                        "floor": row.floor,
                    }
                    for row in rows
                }
            )
        )
