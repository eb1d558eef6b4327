"""A slot has the pages that its text needs; what is only remembered is forgotten for others."""

import random
from itertools import chain

import pytest

from tests.workers.engines.noted_cache import NotedCache
from turnstream.workers.engines.slots import Slot, Slots

PAGE = 8


def text(first: int, length: int) -> list[int]:
    return [first, *range(1, length)]


def test_a_slot_takes_pages_as_its_text_grows() -> None:
    slots = Slots(NotedCache(2, page_tokens=PAGE, context=80, pages=12))
    slot = slots.assign(text(7, 9))
    assert slot is not None
    assert (len(slot.pages), slots.available_pages) == (2, 10)
    assert slots.grow(slot, 16)
    assert len(slot.pages) == 2
    assert slots.grow(slot, 17)
    assert (len(slot.pages), slots.available_pages) == (3, 9)


def test_a_slot_gets_no_pages_that_running_turns_have() -> None:
    slots = Slots(NotedCache(3, page_tokens=PAGE, context=80, pages=12))
    first, second = slots.assign(text(7, 60)), slots.assign(text(8, 17))
    assert first
    assert second
    assert slots.assign(text(9, 17)) is None
    assert slots.grow(first, 65)
    assert not slots.grow(second, 25)
    assert (len(second.pages), slots.available_pages) == (3, 0)
    slots.release(first)
    assert slots.grow(second, 25)


def test_pages_are_left_for_running_turns() -> None:
    slots = Slots(NotedCache(3, page_tokens=PAGE, context=80, pages=12))
    assert slots.assign(text(7, 72))
    assert slots.assign(text(8, 17), spare=1) is None
    assert slots.assign(text(8, 16), spare=1)


@pytest.mark.parametrize("shares_pages", [False, True])
def test_the_end_of_the_slot_released_first_is_forgotten_first(shares_pages: bool) -> None:
    cache = NotedCache(3, page_tokens=PAGE, context=80, pages=12, shares_pages=shares_pages)
    slots = Slots(cache)
    old, new = slots.assign(text(7, 40)), slots.assign(text(8, 40))
    assert old
    assert new
    for slot in (old, new):
        slot.written = 40
        slots.release(slot)
    taking = slots.assign(text(9, 30))
    assert taking
    assert (len(old.ids), old.written, cache.held[old.index]) == (24, 24, 3)
    assert (len(new.ids), new.written) == (40, 40)
    slots.release(taking)
    again = slots.assign(text(7, 40))
    assert again is old
    assert again.written == 24


def test_a_prefix_is_given_up_where_its_pages_are_all_that_can_be_had() -> None:
    slots = Slots(NotedCache(2, page_tokens=PAGE, context=80, pages=11))
    slot = slots.assign(text(7, 79))
    assert slot
    slot.written = 79
    slots.release(slot)
    # Reused it would be copied, and both together do not fit.
    other = slots.assign([*text(7, 30), *text(50, 49)])
    assert other
    assert (other.written, len(other.pages)) == (0, 10)


@pytest.mark.parametrize("shares_pages", [False, True])
def test_in_any_order_no_page_is_lost_or_written_by_two_slots(shares_pages: bool) -> None:
    rng = random.Random(3)
    for pages in (13, 17, 40):
        cache = NotedCache(4, page_tokens=PAGE, context=80, pages=pages, shares_pages=shares_pages)
        slots, running = Slots(cache), list[Slot]()
        every: dict[int, Slot] = {}
        for _ in range(1500):
            if running and rng.random() < 0.3:
                slots.release(running.pop(rng.randrange(len(running))))
            elif running and rng.random() < 0.7:
                slot = rng.choice(running)
                if len(slot.ids) < 80 and slots.grow(slot, len(slot.ids) + 1):
                    slot.written = len(slot.ids)
                    slot.ids.append(rng.randrange(3))
            else:
                prompt = text(rng.randrange(2), rng.randrange(1, 79))
                prompt[rng.randrange(len(prompt)) :] = [99]
                given = slots.assign(prompt, spare=len(running))
                if given is None:
                    # One turn alone always fits.
                    assert running
                    continue
                running.append(given)
                every[given.index] = given
            for slot in every.values():
                assert len(slot.pages) * PAGE >= max(slot.written, len(slot.ids) - 1)
                assert cache.held[slot.index] >= len(slot.pages)
                if slot in running:
                    assert cache.placed[slot.index] == slot.pages
            used = set(chain.from_iterable(slot.pages for slot in running))
            assert slots.available_pages == pages - len(used)
            held = sum(cache.held[index] for index in every)
            assert shares_pages or held <= pages
            for slot in running:
                last = slot.pages[(len(slot.ids) - 1) // PAGE :]
                others = [other for other in every.values() if other is not slot]
                assert not set(last) & set(chain.from_iterable(each.pages for each in others))
