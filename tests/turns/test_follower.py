"""A follower by itself: which live events it takes, and when it reads the log."""

import asyncio

import pytest

from turnstream.turns.errors import Overloaded, ResponseLost
from turnstream.turns.follower import Follower, Page


class Kept:
    """A log that holds some events, and counts how often it is read."""

    def __init__(self, *events: bytes, ends: bool = False, fails: int = 0) -> None:
        self.events = list(events)
        self.ends = ends
        self.reads: list[int] = []
        self.fails = fails

    async def read(self, turn_id: str, after: int) -> Page:
        self.reads.append(after)
        if len(self.reads) <= self.fails:
            raise Overloaded("away")
        return Page(self.events[after + 1 :], ends=self.ends)


async def taken(follower: Follower, count: int) -> list[bytes]:
    events: list[bytes] = []
    async with asyncio.timeout(30):
        async for batch in follower.batches():
            events += batch
            if len(events) >= count:
                break
    return events


async def test_the_next_event_is_taken_without_reading_the_log() -> None:
    log = Kept()
    follower = Follower("t", after=-1, read=log.read)
    follower.deliver(0, b"a", last=False)
    follower.deliver(1, b"b", last=True)

    assert await taken(follower, 2) == [b"a", b"b"]
    assert log.reads == []


async def test_a_repeated_event_is_dropped() -> None:
    follower = Follower("t", after=4, read=Kept().read)
    for seq, event in ((4, b"old"), (5, b"a"), (5, b"again"), (6, b"b")):
        follower.deliver(seq, event, last=seq == 6)

    assert await taken(follower, 2) == [b"a", b"b"]


async def test_a_reader_beyond_the_last_event_ends() -> None:
    follower = Follower("t", after=9, read=Kept().read)
    follower.deliver(5, b"a", last=False)
    follower.deliver(6, b"b", last=True)

    async with asyncio.timeout(30):
        assert [batch async for batch in follower.batches()] == []


async def test_a_gap_is_filled_from_the_log_before_any_later_event() -> None:
    log = Kept(b"a", b"b", b"c", ends=True)
    follower = Follower("t", after=-1, read=log.read)
    follower.deliver(0, b"a", last=False)
    follower.deliver(2, b"c", last=True)

    assert await taken(follower, 3) == [b"a", b"b", b"c"]
    # From the last event on, which it must still have.
    assert log.reads == [-1]


@pytest.mark.parametrize("kept", [[b"a"], [b"a", b"other"], [b"a", b"other", b"c"]])
async def test_a_log_that_lost_what_was_read_is_not_continued(kept: list[bytes]) -> None:
    follower = Follower("t", after=-1, read=Kept(*kept).read)
    follower.deliver(0, b"a", last=False)
    follower.deliver(1, b"b", last=False)
    follower.resync()

    with pytest.raises(ResponseLost):
        await taken(follower, 3)


async def test_an_event_that_fills_a_page_does_not_hold_up_the_next() -> None:
    class Small(Kept):
        async def read(self, turn_id: str, after: int) -> Page:
            page = await super().read(turn_id, after)
            more = len(page.events) > 1
            return Page(page.events[:1], ends=page.ends and not more, more=more)

    log = Small(b"a", b"b", b"c", ends=True)
    follower = Follower("t", after=-1, read=log.read)
    follower.deliver(0, b"a", last=False)
    follower.resync()

    assert await taken(follower, 3) == [b"a", b"b", b"c"]


async def test_events_published_while_the_log_is_read_are_not_repeated() -> None:
    log = Kept(b"a", b"b", b"c", ends=True)

    async def read(turn_id: str, after: int) -> Page:
        follower.deliver(0, b"a", last=False)
        follower.deliver(1, b"b", last=False)
        return await log.read(turn_id, after)

    follower = Follower("t", after=-1, read=read)
    follower.resync()

    assert await taken(follower, 3) == [b"a", b"b", b"c"]


async def test_it_ends_after_the_terminal_event() -> None:
    follower = Follower("t", after=-1, read=Kept().read)
    follower.deliver(0, b"end", last=True)

    async with asyncio.timeout(30):
        assert [batch async for batch in follower.batches()] == [[b"end"]]


async def test_a_lost_last_event_is_found_after_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstream.turns.follower.SILENCE_SECONDS", 0.01)
    follower = Follower("t", after=-1, read=Kept(b"end", ends=True).read)

    assert await taken(follower, 1) == [b"end"]


async def test_an_unreachable_log_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnstream.turns.follower.RETRY_SECONDS", 0.001)
    log = Kept(b"end", ends=True, fails=3)
    follower = Follower("t", after=-1, read=log.read)
    follower.resync()

    assert await taken(follower, 1) == [b"end"]
    assert len(log.reads) == 4
