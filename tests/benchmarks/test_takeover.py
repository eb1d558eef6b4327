"""The takeover benchmark at its smallest: one kill, another worker goes on, nothing stays."""

from pathlib import Path

import psutil
import pytest

from benchmarks import takeover
from benchmarks.takeover import Takeover


@pytest.mark.long
def test_a_kill_is_followed_by_the_other_worker_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    others = psutil.Process().children(recursive=True)
    with takeover.service(tmp_path, lease_seconds=1.0) as service:
        [only] = takeover.measure(service, rounds=1)

    assert only.faults == 0
    # Nobody takes a turn away before its lease has run out, renewed four times a second.
    assert only.seconds > 0.5
    assert psutil.Process().children(recursive=True) == others


def test_a_ratio_is_the_lease_over_the_pause() -> None:
    rows = takeover.rows([Takeover(2.0, 0), Takeover(4.0, 0), Takeover(8.0, 0)], lease_seconds=4.0)

    assert {row.case: (row.ours, row.ratio, row.floor) for row in rows} == {
        "takeover_p50": (4.0, 1.0, None),
        "takeover_worst": (8.0, 0.5, 0.5),
    }
