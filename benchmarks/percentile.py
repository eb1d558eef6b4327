"""Percentiles of what was measured."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that at least this share of all values do not exceed.

    Args:
        values: at least one, in any order.
        share: above 0, at most 1.
    """
    return sorted(values)[math.ceil(len(values) * share) - 1]
