"""Readers get every event once and in order, even if published events are lost."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, slices, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import ResponseLost, ResponseNotFound, StreamExpired
from turnstream.turns.follower import PAGE_BYTES, Follower
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.reader_room import LIVE_BYTES
from turnstream.turns.settings import TurnSettings


async def rest_of(follower: Follower) -> list[bytes]:
    async with asyncio.timeout(30):
        return [event async for batch in follower.batches() for event in batch]


async def test_live_events_come_as_they_are_written(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = make_turn()
    async with turn_client.submit(turn) as follower:
        queue.claim(1)
        log.append([slices(turn.id, first=3, texts=["a"])])
        log.append([slices(turn.id, first=4, texts=["b", "c"])])
        log.append([ending(turn.id, first=6)])
        events = await rest_of(follower)

    assert events[3:] == [b'{"n":"a"}', b'{"n":"b"}', b'{"n":"c"}', b'{"end":1}']


@pytest.mark.parametrize("after", [-1, 0, 2, 4, 5, 99, 10**15])
async def test_replay_gives_what_comes_after_a_number_then_goes_on_live(
    settings: TurnSettings,
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    after: int,
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)
    log.append([slices(turn.id, first=3, texts=["a", "b"])])

    async with (
        open_client(settings, "node-2") as elsewhere,
        elsewhere.follow(turn.id, "ann", after=after) as follower,
    ):
        log.append([ending(turn.id, first=5)])
        events = await rest_of(follower)

    assert len(events) == max(0, 5 - after)
    if after < 5:
        assert events[-1] == b'{"end":1}'


async def test_two_nodes_follow_one_turn(
    settings: TurnSettings, turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = make_turn()
    async with (
        open_client(settings, "node-2") as elsewhere,
        turn_client.submit(turn) as one,
        elsewhere.follow(turn.id, "ann", after=-1) as two,
    ):
        queue.claim(1)
        log.append([slices(turn.id, first=3, texts=["a"]), ending(turn.id, first=4)])
        first, second = await asyncio.gather(rest_of(one), rest_of(two))

    assert first == second
    assert len(first) == 5


@pytest.mark.parametrize("owner", ["bob", ""])
async def test_a_foreign_turn_is_like_an_unknown_one(
    turn_client: TurnClient, make_turn: MakeTurn, owner: str
) -> None:
    turn = await submitted(turn_client, make_turn(owner="ann"))

    for id in (turn.id, "resp_" + 32 * "f"):
        with pytest.raises(ResponseNotFound, match=f"Response with id '{id}' not found."):
            async with turn_client.follow(id, owner, after=-1):
                pass
        with pytest.raises(ResponseNotFound):
            await turn_client.stored.response(id, owner)
        with pytest.raises(ResponseNotFound):
            await turn_client.cancel(id, owner)


@pytest.mark.parametrize("after", [-1, 5, 9])
async def test_after_the_log_expired_the_last_events_come_from_the_record_as_snapshots(
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    redis: Redis,
    after: int,
) -> None:
    turn = await submitted(turn_client, make_turn())
    queue.claim(1)
    log.append([slices(turn.id, first=3, texts=list("abc"))])
    log.append([ending(turn.id, first=6, text="abc")])
    await redis.hset(keys.turn(turn.id), "seq", 9)
    await redis.delete(keys.log(turn.id))

    async with turn_client.follow(turn.id, "ann", after=after) as follower:
        events = [json.loads(event) for event in await rest_of(follower)]

    assert [event["sequence_number"] for event in events] == list(range(max(after, 5) + 1, 10))
    assert all(event["snapshot"] is True for event in events)
    if events:
        assert events[0]["text"] == "abc"
        assert events[-1]["type"] == "response.completed"


async def test_a_reader_of_a_turn_that_redis_lost_gets_an_error(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async with turn_client.submit(make_turn()) as follower:
        queue.claim(1)
        await redis.flushall()
        follower.resync()
        with pytest.raises(ResponseLost):
            await rest_of(follower)


async def test_expired_events_of_a_turn_that_is_not_stored_are_reported_as_expired(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await submitted(turn_client, make_turn(store=False))
    queue.claim(1)
    log.append([ending(turn.id, first=3)])
    await redis.delete(keys.log(turn.id))

    with pytest.raises(StreamExpired):
        async with turn_client.follow(turn.id, "ann", after=-1):
            pass


async def test_a_cut_subscription_loses_nothing(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = make_turn()
    async with turn_client.submit(turn) as follower:
        queue.claim(1)
        reading = asyncio.create_task(rest_of(follower))
        for seq in range(3, 40):
            if seq % 9 == 0:
                await redis.client_kill_filter(_type="pubsub")
            log.append([slices(turn.id, first=seq, texts=[str(seq)])])
            await asyncio.sleep(0)  # let the relay read what was published
        log.append([ending(turn.id, first=40)])
        events = await reading

    assert events[3:] == [f'{{"n":"{seq}"}}'.encode() for seq in range(3, 40)] + [b'{"end":1}']


async def test_a_reader_that_does_not_read_costs_bounded_memory_and_loses_nothing(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = make_turn()
    many = 3 * LIVE_BYTES // 64
    async with turn_client.submit(turn) as follower:
        queue.claim(1)
        for seq in range(3, many):
            log.append([slices(turn.id, first=seq, texts=[str(seq)])])
        log.append([ending(turn.id, first=many)])
        async with asyncio.timeout(30):
            while not follower._behind:
                await asyncio.sleep(0)  # let the relay read what was published
        assert sum(map(len, follower._ready)) <= LIVE_BYTES

        events = await rest_of(follower)

    assert events[3:-1] == [f'{{"n":"{seq}"}}'.encode() for seq in range(3, many)]


async def test_a_page_of_the_log_is_bounded_in_bytes_but_has_one_event_of_any_size(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = make_turn()
    async with turn_client.submit(turn):
        queue.claim(1)
    long = "x" * 3 * PAGE_BYTES
    log.append([slices(turn.id, first=3, texts=["a" * 1_000] * 40 + [long, "b" * 1_000])])
    log.append([ending(turn.id, first=45)])
    # A later event passes the relay after these, which no follower took.
    later = make_turn()
    async with turn_client.submit(later) as follower:
        queue.claim(1)
        async with asyncio.timeout(30):
            async for _ in follower.batches():
                if follower.newest == 2:
                    break

    async with turn_client.follow(turn.id, turn.owner, after=2) as follower:
        pages = [batch async for batch in follower.batches()]

    assert [len(event) for page in pages for event in page][:41] == [1_008] * 40 + [len(long) + 8]
    assert all(sum(map(len, page)) <= PAGE_BYTES or len(page) == 1 for page in pages)
    assert len(pages) == 5
