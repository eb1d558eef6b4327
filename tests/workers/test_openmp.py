"""The spin count of a worker's OpenMP threads, as OpenMP itself prints it."""

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("asked", "told"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")], ids=["default", "own"]
)
def test_the_spin_count_is_set_unless_the_environment_sets_it(
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
