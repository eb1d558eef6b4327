"""Rows are found by what they remember, and forgotten in the order in which they were left."""

from turnstream.workers.engines.rows import Row, Rows


def fill(rows: Rows, prompt: list[int], answer: list[int]) -> Row:
    """Seat a turn and pretend that all of it but its last token was written."""
    row = rows.take(prompt).row
    row.ids.extend(answer)
    row.written = len(row.ids) - 1
    return row


SYSTEM = list(range(1000, 1020))


def test_fresh_rows_are_taken_from_the_first() -> None:
    rows = Rows(3)
    assert [rows.take([1]).row.index for _ in range(3)] == [0, 1, 2]
    assert rows.free == 0


def test_a_conversation_finds_its_own_row() -> None:
    rows = Rows(3)
    for first in (10, 11, 12):
        rows.leave(fill(rows, [first, *SYSTEM], [5, 6, 7]))
    seat = rows.take([11, *SYSTEM, 5, 6, 7, 8, 9])
    assert (seat.row.index, seat.row.written, seat.source) == (1, 23, None)


def test_the_row_left_longest_ago_is_forgotten_first() -> None:
    rows = Rows(3)
    taken = [fill(rows, [first, *SYSTEM], [5]) for first in (10, 11, 12)]
    for n in (2, 0, 1):
        rows.leave(taken[n])
    assert [rows.take([99, 98]).row.index for _ in range(3)] == [2, 0, 1]


def test_a_shared_beginning_is_copied_and_not_taken_away() -> None:
    rows = Rows(2)
    rows.leave(fill(rows, [*SYSTEM, *range(100)], [5]))
    seat = rows.take([*SYSTEM, 7, 8])
    assert seat.row.index == 1
    assert seat.source is not None
    assert (seat.source.index, seat.row.written) == (0, 20)


def test_a_running_turn_is_a_source_and_never_a_seat() -> None:
    rows = Rows(2)
    fill(rows, [*SYSTEM, 3], [5])
    seat = rows.take([*SYSTEM, 3, 5, 9])
    assert seat.row.index == 1
    assert seat.source is not None
    assert seat.source.index == 0


def test_one_token_at_least_is_left_to_compute() -> None:
    rows = Rows(1)
    rows.leave(fill(rows, SYSTEM, [5, 6]))
    assert rows.take(list(SYSTEM)).row.written == len(SYSTEM) - 1


def test_a_few_common_tokens_are_not_worth_a_search() -> None:
    rows = Rows(2)
    rows.leave(fill(rows, [1, 2, 3, 4], [5]))
    seat = rows.take([1, 2, 3, 9])
    assert (seat.row.index, seat.row.written, seat.source) == (1, 0, None)


def test_a_row_remembers_nothing_that_its_turn_has_not_heard() -> None:
    rows = Rows(1)
    row = fill(rows, SYSTEM, [5, 6])
    # Two steps ran ahead: one token's keys were written, the next was chosen.
    row.written, row.unknown = len(row.ids) + 1, 2
    rows.leave(row)
    assert row.written == len(row.ids) == len(SYSTEM) + 2
    seat = rows.take([*SYSTEM, 5, 6, 7])
    assert (seat.row.written, seat.row.unknown) == (len(SYSTEM) + 2, 0)
