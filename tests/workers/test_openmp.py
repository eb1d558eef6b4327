"""How long a worker's threads stay awake for one another, as OpenMP itself tells it."""

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("asked", "told"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")], ids=["default", "own"]
)
def test_a_worker_has_its_threads_sleep_soon_unless_it_is_told_otherwise(
    asked: dict[str, str], told: str
) -> None:
    environ = os.environ | {"OMP_DISPLAY_ENV": "verbose", "TURNSTREAM_MODEL": "/nowhere"} | asked
    worker = subprocess.run(
        [sys.executable, "-m", "turnstream", "worker"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "model /nowhere: no such folder" in worker.stderr
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", worker.stderr)) == {told}
