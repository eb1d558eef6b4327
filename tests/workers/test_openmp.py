"""The spin count of a worker's OpenMP threads, as OpenMP itself prints it."""

import os
import re
import subprocess
import sys

import pytest

from turnstream.cli.console import CANNOT_LOAD


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param({}, "1000", id="default"),
        pytest.param({"GOMP_SPINCOUNT": "7"}, "7", id="own", marks=pytest.mark.long),
    ],
)
def test_the_spin_count_is_set_unless_the_environment_sets_it(
    asked: dict[str, str], told: str, redis_url: str
) -> None:
    environ = os.environ | {"OMP_DISPLAY_ENV": "verbose", "TURNSTREAM_MODEL": "/nowhere"} | asked
    # A worker gets its name from Redis before it loads.
    environ["TURNSTREAM_REDIS_URL"] = redis_url
    worker = subprocess.run(
        [sys.executable, "-m", "turnstream", "worker"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "model /nowhere: no such folder" in worker.stderr
    assert worker.returncode == CANNOT_LOAD
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", worker.stderr)) == {told}
