"""Limit the busy-waiting of torch's OpenMP threads, before torch is imported.

By default the threads of GNU OpenMP spin for milliseconds before they sleep. On shared cores that
takes time from threads that work: two engines on one machine get half of their throughput. A few
microseconds are enough between two operations of a step.
"""

import os

#: OpenMP's own settings; values in the worker's environment take precedence.
SETTINGS = {"GOMP_SPINCOUNT": "1000"}


def prepare() -> None:
    """Prepare the environment for the import of torch."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
