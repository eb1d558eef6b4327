"""What has to be so before torch is imported: how long its threads stay awake for one another.

By itself GNU OpenMP has each of them turn round for milliseconds before it sleeps. On cores that
others use as well, who waits then takes the core from who works: two engines side by side give half
of what they could. A few microseconds are enough to meet again between two products of a step.
"""

import os

#: OpenMP's own settings; whoever starts the worker may say otherwise.
SETTINGS = {"GOMP_SPINCOUNT": "1000"}


def prepare() -> None:
    """Make torch ready to be imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
