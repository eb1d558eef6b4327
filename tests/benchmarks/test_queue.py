"""The queue benchmark at its smallest: every case has a plausible figure."""

from benchmarks import queue


def test_a_short_queue_and_a_long_one_are_measured_in_one_run() -> None:
    rows = {row.case: row for row in queue.measure(long=300, rounds=3)}

    assert set(rows) == {"enqueue_p50", "enqueue_p95", "waiting_turn"}
    # A record cannot take less than the JSON of its response.
    assert rows["waiting_turn"].ours > 500
    assert rows["waiting_turn"].theirs > 4_000
