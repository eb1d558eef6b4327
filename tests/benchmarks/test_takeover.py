"""The takeover benchmark at its smallest: one kill, and another worker continues the turn."""

from pathlib import Path

import psutil
import pytest

from benchmarks import takeover
from benchmarks.takeover import Takeover


@pytest.mark.long
def test_another_worker_continues_after_a_kill_and_no_process_is_left(
    tmp_path: Path,
) -> None:
    others = psutil.Process().children(recursive=True)
    with takeover.service(tmp_path, lease_seconds=1.0) as service:
        [only] = takeover.measure(service, rounds=1)

    assert only.faults == 0
    # A turn is not taken over before its lease expires; it is renewed four times a second.
    assert only.seconds > 0.5
    assert psutil.Process().children(recursive=True) == others


def test_a_ratio_is_the_lease_divided_by_the_pause() -> None:
    rows = takeover.rows([Takeover(2.0, 0), Takeover(4.0, 0), Takeover(8.0, 0)], lease_seconds=4.0)

    assert {row.case: (row.ours, row.ratio, row.floor) for row in rows} == {
        "takeover_p50": (4.0, 1.0, None),
        "takeover_worst": (8.0, 0.5, 0.5),
    }
