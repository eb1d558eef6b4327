"""How many examples a test tries: a few in `make test`, all with TEST_LONG=1 (`make test-long`)."""

import os

LONG = os.environ.get("TEST_LONG") == "1"


def examples(few: int, many: int) -> int:
    """Return the number of examples of this run."""
    return many if LONG else few
