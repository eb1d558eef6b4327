"""Slots are assigned by their common prefix, and else in the order in which they were released."""

import pytest

from tests.workers.engines.noted_cache import NotedCache
from turnstream.workers.cache_scope import NO_OWNER, CacheScope
from turnstream.workers.engines.kv_cache import Copy
from turnstream.workers.engines.slots import Slot, Slots


@pytest.fixture(params=[False, True], ids=["own pages", "shared pages"])
def shares_pages(request: pytest.FixtureRequest) -> bool:
    shares: bool = request.param
    return shares


def assigned(slots: Slots, prompt: list[int], scope: CacheScope = NO_OWNER) -> Slot:
    slot = slots.assign(prompt, scope)
    assert slot is not None
    return slot


def fill(slots: Slots, prompt: list[int], answer: list[int]) -> Slot:
    """Assign a slot and mark all tokens of prompt and answer but the last as written."""
    slot = assigned(slots, prompt)
    slot.ids.extend(answer)
    slot.written = len(slot.ids) - 1
    assert slots.grow(slot, slot.written)
    return slot


SYSTEM = list(range(1000, 1020))


def test_unused_slots_are_assigned_in_order(shares_pages: bool) -> None:
    slots = Slots(NotedCache(3, shares_pages=shares_pages))
    assert [assigned(slots, [1]).index for _ in range(3)] == [0, 1, 2]
    assert slots.free == 0
    assert slots.assign([1]) is None


def test_a_conversation_gets_the_slot_of_its_last_turn(shares_pages: bool) -> None:
    cache = NotedCache(3, shares_pages=shares_pages)
    slots = Slots(cache)
    for first in (10, 11, 12):
        slots.release(fill(slots, [first, *SYSTEM], [5, 6, 7]))
    slot = assigned(slots, [11, *SYSTEM, 5, 6, 7, 8, 9])
    assert (slot.index, slot.written, cache.copies) == (1, 23, [])


def test_the_slot_released_first_is_reused_first(shares_pages: bool) -> None:
    slots = Slots(NotedCache(3, shares_pages=shares_pages))
    taken = [fill(slots, [first, *SYSTEM], [5]) for first in (10, 11, 12)]
    for n in (2, 0, 1):
        slots.release(taken[n])
    assert [assigned(slots, [99, 98]).index for _ in range(3)] == [2, 0, 1]


def test_a_prefix_of_another_slot_is_copied_and_stays_there() -> None:
    cache = NotedCache(2)
    slots = Slots(cache)
    slots.release(fill(slots, [*SYSTEM, *range(100)], [5]))
    slot = assigned(slots, [*SYSTEM, 7, 8])
    assert (slot.index, slot.written, cache.copies) == (1, 20, [Copy(0, 1, 20)])


def test_of_a_shared_prefix_only_the_page_that_is_not_full_is_copied() -> None:
    cache = NotedCache(2, shares_pages=True, page_tokens=8)
    slots = Slots(cache)
    first = fill(slots, [*SYSTEM, *range(100)], [5])
    second = assigned(slots, [*SYSTEM, 7, 8])
    assert (second.index, second.written) == (1, 20)
    assert second.pages[:2] == first.pages[:2]
    assert second.pages[2] != first.pages[2]
    assert cache.copies == [Copy(first.pages[2], second.pages[2], 4)]


def test_a_page_that_another_slot_has_as_well_is_never_written() -> None:
    cache = NotedCache(2, shares_pages=True, page_tokens=8)
    slots = Slots(cache)
    first = fill(slots, [*SYSTEM, *range(12)], [5])
    second = assigned(slots, [*SYSTEM, *range(12), 7])
    assert second.pages[:4] == first.pages[:4]
    slots.release(first)
    # It goes on in the middle of the third page, which the second slot still reads.
    again = assigned(slots, [*SYSTEM, 8, 9])
    assert (again.index, again.written) == (0, 20)
    assert again.pages[:2] == second.pages[:2]
    assert again.pages[2] not in second.pages
    assert cache.copies[-1] == Copy(second.pages[2], again.pages[2], 4)


def test_a_used_slot_is_copied_from_and_never_assigned() -> None:
    cache = NotedCache(2)
    slots = Slots(cache)
    fill(slots, [*SYSTEM, 3], [5])
    assert assigned(slots, [*SYSTEM, 3, 5, 9]).index == 1
    assert cache.copies == [Copy(0, 1, 21)]


def test_at_least_one_token_is_left_to_compute(shares_pages: bool) -> None:
    slots = Slots(NotedCache(1, shares_pages=shares_pages))
    slots.release(fill(slots, SYSTEM, [5, 6]))
    assert assigned(slots, list(SYSTEM)).written == len(SYSTEM) - 1


def test_a_short_common_prefix_is_not_reused(shares_pages: bool) -> None:
    cache = NotedCache(2, shares_pages=shares_pages)
    slots = Slots(cache)
    slots.release(fill(slots, [1, 2, 3, 4], [5]))
    slot = assigned(slots, [1, 2, 3, 9])
    assert (slot.index, slot.written, cache.copies) == (1, 0, [])


def test_a_released_slot_keeps_known_tokens_only(shares_pages: bool) -> None:
    slots = Slots(NotedCache(1, shares_pages=shares_pages))
    slot = fill(slots, SYSTEM, [5, 6])
    # Two steps ran ahead: one token's keys were written, the next was chosen.
    slot.written, slot.pending = len(slot.ids) + 1, 2
    slots.release(slot)
    assert slot.written == len(slot.ids) == len(SYSTEM) + 2
    slot = assigned(slots, [*SYSTEM, 5, 6, 7])
    assert (slot.written, slot.pending) == (len(SYSTEM) + 2, 0)


ANN, BOB = CacheScope("ann", public_tokens=20), CacheScope("bob", public_tokens=20)


def test_another_owners_tokens_are_not_reused_beyond_those_that_are_nobodys(
    shares_pages: bool,
) -> None:
    slots = Slots(NotedCache(2, shares_pages=shares_pages))
    for scope, kept in ((ANN, 0), (BOB, 20), (ANN, 49), (BOB, 49)):
        slot = assigned(slots, [*SYSTEM, *range(30)], scope)
        assert slot.written == kept
        slot.written = len(slot.ids)
        slots.release(slot)


def test_a_prompt_without_a_public_part_shares_nothing_with_other_owners(
    shares_pages: bool,
) -> None:
    slots = Slots(NotedCache(2, shares_pages=shares_pages))
    slots.release(fill(slots, [*SYSTEM, 3], [5]))
    assert assigned(slots, [*SYSTEM, 3, 5, 9], CacheScope("ann")).written == 0
