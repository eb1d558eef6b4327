"""Slots are assigned by their common prefix, and else in the order in which they were released."""

from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.engines.slots import Slot, Slots


def fill(slots: Slots, prompt: list[int], answer: list[int]) -> Slot:
    """Assign a slot and mark all tokens of prompt and answer but the last as written."""
    slot = slots.assign(prompt).slot
    slot.ids.extend(answer)
    slot.written = len(slot.ids) - 1
    return slot


SYSTEM = list(range(1000, 1020))


def test_unused_slots_are_assigned_in_order() -> None:
    slots = Slots(3)
    assert [slots.assign([1]).slot.index for _ in range(3)] == [0, 1, 2]
    assert slots.free == 0


def test_a_conversation_gets_the_slot_of_its_last_turn() -> None:
    slots = Slots(3)
    for first in (10, 11, 12):
        slots.release(fill(slots, [first, *SYSTEM], [5, 6, 7]))
    assignment = slots.assign([11, *SYSTEM, 5, 6, 7, 8, 9])
    assert (assignment.slot.index, assignment.slot.written, assignment.source) == (1, 23, None)


def test_the_slot_released_first_is_reused_first() -> None:
    slots = Slots(3)
    taken = [fill(slots, [first, *SYSTEM], [5]) for first in (10, 11, 12)]
    for n in (2, 0, 1):
        slots.release(taken[n])
    assert [slots.assign([99, 98]).slot.index for _ in range(3)] == [2, 0, 1]


def test_a_shared_prefix_is_copied_and_stays_in_its_slot() -> None:
    slots = Slots(2)
    slots.release(fill(slots, [*SYSTEM, *range(100)], [5]))
    assignment = slots.assign([*SYSTEM, 7, 8])
    assert assignment.slot.index == 1
    assert assignment.source is not None
    assert (assignment.source.index, assignment.slot.written) == (0, 20)


def test_a_used_slot_is_copied_from_and_never_assigned() -> None:
    slots = Slots(2)
    fill(slots, [*SYSTEM, 3], [5])
    assignment = slots.assign([*SYSTEM, 3, 5, 9])
    assert assignment.slot.index == 1
    assert assignment.source is not None
    assert assignment.source.index == 0


def test_at_least_one_token_is_left_to_compute() -> None:
    slots = Slots(1)
    slots.release(fill(slots, SYSTEM, [5, 6]))
    assert slots.assign(list(SYSTEM)).slot.written == len(SYSTEM) - 1


def test_a_short_common_prefix_is_not_reused() -> None:
    slots = Slots(2)
    slots.release(fill(slots, [1, 2, 3, 4], [5]))
    assignment = slots.assign([1, 2, 3, 9])
    assert (assignment.slot.index, assignment.slot.written, assignment.source) == (1, 0, None)


def test_a_released_slot_keeps_known_tokens_only() -> None:
    slots = Slots(1)
    slot = fill(slots, SYSTEM, [5, 6])
    # Two steps ran ahead: one token's keys were written, the next was chosen.
    slot.written, slot.pending = len(slot.ids) + 1, 2
    slots.release(slot)
    assert slot.written == len(slot.ids) == len(SYSTEM) + 2
    assignment = slots.assign([*SYSTEM, 5, 6, 7])
    assert (assignment.slot.written, assignment.slot.pending) == (len(SYSTEM) + 2, 0)


ANN, BOB = CacheScope("ann", public_tokens=20), CacheScope("bob", public_tokens=20)


def test_another_owners_tokens_are_not_reused_beyond_those_that_are_nobodys() -> None:
    slots = Slots(2)
    for scope, kept in ((ANN, 0), (BOB, 20), (ANN, 49), (BOB, 49)):
        assignment = slots.assign([*SYSTEM, *range(30)], scope)
        assert assignment.slot.written == kept
        assignment.slot.written = len(assignment.slot.ids)
        slots.release(assignment.slot)


def test_a_prompt_without_a_public_part_shares_nothing_with_other_owners() -> None:
    slots = Slots(2)
    slots.release(fill(slots, [*SYSTEM, 3], [5]))
    assert slots.assign([*SYSTEM, 3, 5, 9], CacheScope("ann")).slot.written == 0
