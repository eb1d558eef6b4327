"""Slots are found by what they remember, and forgotten in the order in which they were left."""

from turnstream.workers.engines.slots import Slot, Slots


def fill(slots: Slots, prompt: list[int], answer: list[int]) -> Slot:
    """SlotAssignment a turn and pretend that all of it but its last token was written."""
    slot = slots.take(prompt).slot
    slot.ids.extend(answer)
    slot.written = len(slot.ids) - 1
    return slot


SYSTEM = list(range(1000, 1020))


def test_fresh_rows_are_taken_from_the_first() -> None:
    slots = Slots(3)
    assert [slots.take([1]).slot.index for _ in range(3)] == [0, 1, 2]
    assert slots.free == 0


def test_a_conversation_finds_its_own_row() -> None:
    slots = Slots(3)
    for first in (10, 11, 12):
        slots.leave(fill(slots, [first, *SYSTEM], [5, 6, 7]))
    seat = slots.take([11, *SYSTEM, 5, 6, 7, 8, 9])
    assert (seat.slot.index, seat.slot.written, seat.source) == (1, 23, None)


def test_the_row_left_longest_ago_is_forgotten_first() -> None:
    slots = Slots(3)
    taken = [fill(slots, [first, *SYSTEM], [5]) for first in (10, 11, 12)]
    for n in (2, 0, 1):
        slots.leave(taken[n])
    assert [slots.take([99, 98]).slot.index for _ in range(3)] == [2, 0, 1]


def test_a_shared_beginning_is_copied_and_not_taken_away() -> None:
    slots = Slots(2)
    slots.leave(fill(slots, [*SYSTEM, *range(100)], [5]))
    seat = slots.take([*SYSTEM, 7, 8])
    assert seat.slot.index == 1
    assert seat.source is not None
    assert (seat.source.index, seat.slot.written) == (0, 20)


def test_a_running_turn_is_a_source_and_never_a_seat() -> None:
    slots = Slots(2)
    fill(slots, [*SYSTEM, 3], [5])
    seat = slots.take([*SYSTEM, 3, 5, 9])
    assert seat.slot.index == 1
    assert seat.source is not None
    assert seat.source.index == 0


def test_one_token_at_least_is_left_to_compute() -> None:
    slots = Slots(1)
    slots.leave(fill(slots, SYSTEM, [5, 6]))
    assert slots.take(list(SYSTEM)).slot.written == len(SYSTEM) - 1


def test_a_few_common_tokens_are_not_worth_a_search() -> None:
    slots = Slots(2)
    slots.leave(fill(slots, [1, 2, 3, 4], [5]))
    seat = slots.take([1, 2, 3, 9])
    assert (seat.slot.index, seat.slot.written, seat.source) == (1, 0, None)


def test_a_row_remembers_nothing_that_its_turn_has_not_heard() -> None:
    slots = Slots(1)
    slot = fill(slots, SYSTEM, [5, 6])
    # Two steps ran ahead: one token's keys were written, the next was chosen.
    slot.written, slot.unknown = len(slot.ids) + 1, 2
    slots.leave(slot)
    assert slot.written == len(slot.ids) == len(SYSTEM) + 2
    seat = slots.take([*SYSTEM, 5, 6, 7])
    assert (seat.slot.written, seat.slot.unknown) == (len(SYSTEM) + 2, 0)
