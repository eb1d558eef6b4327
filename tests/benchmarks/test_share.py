"""The benchmark of interactive turns beside a batch at its smallest, and its arithmetic."""

import pytest

from benchmarks import share
from benchmarks.share import Phase


@pytest.mark.long
def test_interactive_turns_and_a_batch_are_measured_alone_and_together() -> None:
    rows = {row.case: row for row in share.measure(rounds=1, seconds=2.0)}

    assert set(rows) == {"first_slice_p50", "first_slice_p95", "tokens"}
    assert all(row.ours > 0 for row in rows.values())


def test_a_ratio_above_one_is_better_for_waits_and_for_rates() -> None:
    alone, shared, batch = (
        Phase([0.1], 0, 1.0),
        Phase([0.2], 300, 2.0),
        Phase([], 100, 1.0),
    )

    rows = {row.case: row.ratio for row in share.rows(alone, shared, batch)}

    assert rows == {"first_slice_p50": 0.5, "first_slice_p95": 0.5, "tokens": 1.5}
