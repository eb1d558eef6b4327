"""The line benchmark at its smallest: both lines keep their lengths, and its figures are there."""

from benchmarks import queue


def test_a_short_line_and_a_long_one_are_measured_in_one_run() -> None:
    rows = {row.case: row for row in queue.measure(long=300, rounds=3)}

    assert set(rows) == {"enqueue_p50", "enqueue_p95", "waiting_turn"}
    # A record cannot take less than the JSON of its response.
    assert rows["waiting_turn"].ours > 500
    assert rows["waiting_turn"].theirs > 4_000
