"""`turnstream loadtest`: what it notices and what it finds."""

import asyncio
from typing import Any

import pytest

from turnstream.cli.loadtest.observed import Answer, Tally
from turnstream.cli.loadtest.options import Target
from turnstream.cli.loadtest.person import Reading
from turnstream.cli.loadtest.search import find_rate
from turnstream.client import Event

TARGET = Target(first_slice_seconds=1.0, gap_seconds=0.5)


def delta(number: int, text: str, **more: Any) -> Event:
    data = {"type": "response.output_text.delta", "delta": text, **more}
    return Event("response.output_text.delta", number, data)


def damage(*events: Event, stored: str) -> str:
    reading = Reading(begun=0.0)
    for event in events:
        reading.take(event)
    reading.check("stored", stored)
    return reading.answer().damage


@pytest.mark.parametrize(
    ("events", "stored", "found"),
    [
        ([delta(0, "a"), delta(1, "b")], "ab", ""),
        ([delta(0, "a"), delta(5, "b", snapshot=True)], "ab", ""),
        ([delta(0, "a"), delta(2, "b")], "ab", "event 2 came after 0"),
        ([delta(0, "a"), delta(0, "a")], "aa", "event 0 came after 0"),
        ([delta(0, "a"), delta(1, "b")], "abc", "2 characters were read, 3 are stored"),
    ],
)
def test_what_is_lost_doubled_or_not_as_stored_is_noticed(
    events: list[Event], stored: str, found: str
) -> None:
    assert damage(*events, stored=stored) == found


def test_one_damaged_or_refused_answer_misses_the_target() -> None:
    good = Answer(first_slice=0.2, ended=1.0)
    assert Tally([good] * 99).meets(TARGET)
    assert Tally([*[good] * 99, Answer(first_slice=9.0)]).meets(TARGET)
    assert not Tally([*[good] * 9, Answer(first_slice=9.0)]).meets(TARGET)
    assert not Tally([*[good] * 99, Answer(first_slice=0.2, damage="lost")]).meets(TARGET)
    assert not Tally([*[good] * 99, Answer(error="overloaded")]).meets(TARGET)
    assert not Tally([]).meets(TARGET)


@pytest.mark.parametrize("first", [1.0, 30.0, 700.0])
def test_the_highest_rate_that_meets_the_target_is_found(first: float) -> None:
    async def meets(rate: float) -> bool:
        return rate <= 100

    assert 85 <= asyncio.run(find_rate(meets, first)) <= 100


def test_where_no_rate_meets_the_target_none_is_found() -> None:
    async def meets(rate: float) -> bool:
        return False

    assert asyncio.run(find_rate(meets, 10.0)) == 0
