"""The cursor of a feed's entry: it is of that entry alone, whatever gets its number later."""

import pytest
from redis.asyncio import Redis

from tests.turns.test_feeds import read
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import StreamExpired
from turnstream.turns.turn import Message


async def test_a_cursor_is_refused_once_another_entry_has_its_number(
    turn_client: TurnClient, redis: "Redis", conversation: str
) -> None:
    async def add() -> None:
        await turn_client.conversations.add(conversation, "ann", [Message("user", "x")])

    async with turn_client.feeds.follow(conversation, "ann", after=-1) as feed:
        await add()
        first, _, last = await read(feed, 3)
    for after in (first["cursor"], last["cursor"]):
        async with turn_client.feeds.follow(conversation, "ann", after=after) as feed:
            assert feed.since == int(after.partition("-")[0])

    # As after a failover to a replica that did not have the last entry.
    await redis.rpop(keys.feed(conversation))
    await add()
    await add()
    with pytest.raises(StreamExpired):
        async with turn_client.feeds.follow(conversation, "ann", after=last["cursor"]):
            pass
    async with turn_client.feeds.follow(conversation, "ann", after=first["cursor"]) as feed:
        assert [each["sequence_number"] for each in await read(feed, 3)] == [1, 2, 3]


async def test_a_cursor_is_refused_once_its_entry_is_not_kept(
    turn_client: TurnClient, redis: "Redis", conversation: str
) -> None:
    async with turn_client.feeds.follow(conversation, "ann", after=-1) as feed:
        first, second = await read(feed, 2)
    await redis.lpop(keys.feed(conversation))

    with pytest.raises(StreamExpired):
        async with turn_client.feeds.follow(conversation, "ann", after=first["cursor"]):
            pass
    async with turn_client.feeds.follow(conversation, "ann", after=second["cursor"]) as feed:
        assert feed.since == 1


async def test_an_entry_that_is_lost_while_a_feed_is_opened_by_its_cursor_is_noticed(
    turn_client: TurnClient, redis: "Redis", conversation: str
) -> None:
    async with turn_client.feeds.follow(conversation, "ann", after=-1) as feed:
        _, last = await read(feed, 2)
    async with turn_client.feeds.follow(conversation, "ann", after=last["cursor"]) as feed:
        await redis.rpop(keys.feed(conversation))
        for _ in range(2):
            await turn_client.conversations.add(conversation, "ann", [Message("user", "x")])
        # The first read of the reader, once more.
        with pytest.raises(StreamExpired):
            await feed.follower.open()
