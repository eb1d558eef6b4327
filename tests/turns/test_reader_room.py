"""What readers of a connection keep in memory: live events in one room, one page at a time."""

import asyncio

import pytest

from turnstream.turns.follower import Follower, Page
from turnstream.turns.reader_room import ReaderRoom


class Log:
    """A log that tells how many pages of it are in memory."""

    def __init__(self, events: int) -> None:
        self._events = [b"%d" % number for number in range(events)]
        self.reads = 0

    async def read(self, turn_id: str, after: int) -> Page:
        self.reads += 1
        page = self._events[after + 1 : after + 3]
        more = after + 1 + len(page) < len(self._events)
        return Page(page, ends=not more, more=more)


def followers(log: Log, room: ReaderRoom, count: int) -> list[Follower]:
    return [Follower(str(n), after=-1, read=log.read, room=room) for n in range(count)]


async def events_of(follower: Follower) -> list[bytes]:
    await follower.open()
    events = [event async for batch in follower.batches() for event in batch]
    follower.close()
    return events


async def test_readers_of_one_connection_have_one_page_in_memory_together() -> None:
    log, room = Log(2), ReaderRoom()
    first, second = followers(log, room, 2)
    await first.open()
    batches = first.batches()
    await anext(batches)
    waiting = asyncio.ensure_future(events_of(second))
    await asyncio.sleep(0)
    assert log.reads == 1

    # The first page has been sent when the reader asks for more.
    assert await anext(batches, None) is None

    async with asyncio.timeout(30):
        assert await waiting == [b"0", b"1"]


async def test_a_reader_that_leaves_in_the_middle_of_a_page_lets_the_others_read() -> None:
    log, room = Log(9), ReaderRoom()
    first, second = followers(log, room, 2)
    await first.open()
    await anext(first.batches())
    first.close()

    async with asyncio.timeout(30):
        assert len(await events_of(second)) == 9


async def test_a_page_that_could_not_be_read_lets_the_others_read() -> None:
    room = ReaderRoom()

    async def fails(turn_id: str, after: int) -> Page:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await Follower("t", after=-1, read=fails, room=room).open()

    async with asyncio.timeout(30):
        assert len(await events_of(followers(Log(3), room, 1)[0])) == 3


async def test_many_readers_read_all_pages_in_turn() -> None:
    room = ReaderRoom()
    logs = [Log(20) for _ in range(16)]
    readers = [followers(log, room, 1)[0] for log in logs]

    async with asyncio.timeout(30):
        read = await asyncio.gather(*map(events_of, readers))

    assert [len(events) for events in read] == [20] * 16


async def test_live_events_beyond_the_shared_room_are_read_from_the_log() -> None:
    room = ReaderRoom(live_bytes=1_000)
    readers = followers(Log(4), room, 4)
    for reader in readers:
        reader.deliver(0, b"x" * 300, last=False)
    assert [len(reader._ready) for reader in readers] == [1, 1, 0, 0]

    assert len(await events_of(readers[2])) == 4

    for reader in readers:
        reader.close()
    assert room.take(b"x" * 900)


def test_a_single_event_of_any_size_has_room() -> None:
    room = ReaderRoom(live_bytes=1_000)

    size = room.take(b"x" * 5_000)

    assert size
    assert not room.take(b"x")
    room.give(size)
    assert room.take(b"x")
