"""The cancel benchmark at its smallest, and its arithmetic."""

import pytest

from benchmarks import cancel
from benchmarks.cancel import Stopped


@pytest.mark.long
def test_answers_are_stopped_in_the_middle() -> None:
    [one, two] = cancel.measure(2, neighbours=1)

    for stopped in (one, two):
        assert 0 <= stopped.last_slice_ms <= stopped.end_ms


def test_a_ratio_is_the_bound_over_the_time() -> None:
    stopped = [Stopped(14.0, 28.0, (10.0, 10.0)), Stopped(7.0, 70.0, (10.0,))]

    rows = {row.case: row for row in cancel.rows(stopped)}

    assert (rows["last_slice_p99"].ours, rows["last_slice_p99"].theirs) == (14.0, 70.0)
    assert (rows["last_slice_p99"].ratio, rows["last_slice_p99"].floor) == (5.0, 1.0)
    assert rows["end_p99"].ratio == 1.0
