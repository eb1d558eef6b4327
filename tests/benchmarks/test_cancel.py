"""The cancel benchmark at its smallest, and its arithmetic."""

import pytest

from benchmarks import cancel
from benchmarks.cancel import Cancelled


@pytest.mark.long
def test_turns_are_cancelled_while_they_run() -> None:
    results = cancel.measure(2, neighbours=1)

    assert len(results) == 2
    assert all(cancelled.last_slice_ms >= 0 for cancelled in results)


def test_a_ratio_is_the_bound_divided_by_the_time() -> None:
    cancelled = [Cancelled(14.0, (10.0, 10.0)), Cancelled(7.0, (10.0,))]

    rows = {row.case: row for row in cancel.rows(cancelled)}

    assert (rows["last_slice_p99"].ours, rows["last_slice_p99"].theirs) == (14.0, 70.0)
    assert (rows["last_slice_p99"].ratio, rows["last_slice_p99"].floor) == (5.0, 1.0)
