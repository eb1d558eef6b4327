"""Feeds tell their owner of all that happens in a conversation, in order, each entry once."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.batch import Batch
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import ConversationNotFound, ResponseNotFound, StreamExpired
from turnstream.turns.feeds import Feed
from turnstream.turns.log import Log
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.steering import Steer, key_of
from turnstream.turns.tasks import end
from turnstream.turns.turn import Message, Turn


async def read(feed: Feed, number: int) -> list[dict[str, Any]]:
    """Read so many entries, fewer if the feed ends."""
    entries: list[dict[str, Any]] = []
    async with asyncio.timeout(10), aclosing(feed.follower.batches()) as batches:
        # What a batch takes is given back when the next one is asked for.
        ended = asyncio.ensure_future(_collect(batches, entries))
        while len(entries) < number and not ended.done():
            await asyncio.sleep(0.01)
        await end([ended])
    assert [each["sequence_number"] for each in entries] == list(
        range(entries[0]["sequence_number"], entries[0]["sequence_number"] + len(entries))
    )
    return entries


async def _collect(
    batches: AsyncGenerator[list[bytes], None], entries: list[dict[str, Any]]
) -> None:
    async for batch in batches:
        entries += map(json.loads, batch)


def said(entries: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return what entries say, without their numbers."""
    prefix = "turnstream:conversation."
    return [
        (
            each["type"].removeprefix(prefix),
            each.get("response_id") or each.get("item_id") or "",
            each.get("status", ""),
        )
        for each in entries
    ]


def in_conversation(turn: Turn, conversation: str) -> Turn:
    return dataclasses.replace(turn, conversation=conversation)


async def test_a_feed_begins_with_what_there_is_and_goes_on_with_what_happens_anywhere(
    settings: TurnSettings,
    turn_client: TurnClient,
    queue: TurnQueue,
    log: Log,
    make_turn: MakeTurn,
    conversation: str,
) -> None:
    first, second = (in_conversation(make_turn(), conversation) for _ in range(2))
    await submitted(turn_client, first)
    queue.claim(1)
    log.append([ending(first.id, first=3)])

    async with (
        open_client(settings, "node-2") as elsewhere,
        elsewhere.feeds.follow(conversation, "ann", after=-1) as feed,
    ):
        await submitted(turn_client, second)
        await turn_client.cancel(second.id, "ann")
        [added] = await turn_client.conversations.add(conversation, "ann", [Message("user", "x")])
        item = "msg_" + added.turn_id.removeprefix("resp_") + "_0"
        await turn_client.conversations.remove(conversation, "ann", added.turn_id, "0", item)
        await turn_client.stored.delete(first.id, "ann")
        await turn_client.conversations.delete(conversation, "ann")
        entries = await read(feed, 99)

    assert [kind for kind, _, _ in said(entries)][:2] == ["opened", "item.created"]
    assert said(entries)[2:] == [
        ("response.created", first.id, ""),
        ("response.ended", first.id, "completed"),
        ("response.created", second.id, ""),
        ("response.ended", second.id, "cancelled"),
        ("item.created", item, ""),
        ("item.deleted", item, ""),
        ("response.deleted", first.id, ""),
        ("deleted", "", ""),
    ]
    assert feed.newest == 3
    assert feed.active == ()


async def test_a_feed_of_a_tree_has_every_branch_and_is_found_by_any_of_its_turns(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    async def answered(previous: str | None) -> str:
        turn = await submitted(turn_client, make_turn(previous_response_id=previous))
        queue.claim(1)
        log.append([ending(turn.id, first=3)])
        return turn.id

    root = await answered(None)
    leaf = await answered(root)
    async with turn_client.feeds.follow(leaf, "ann", after=-1) as feed:
        sibling = await answered(root)
        child = await answered(sibling)
        entries = await read(feed, 9)
    async with turn_client.feeds.follow(child, "ann", after=8) as again:
        await turn_client.stored.delete(sibling, "ann")
        await turn_client.stored.delete(root, "ann")
        rest = await read(again, 9)

    assert feed.id == again.id == root
    made = [each for each in entries if each["type"].endswith("created")]
    assert [(each["response_id"], each["previous_response_id"]) for each in made] == [
        (root, None),
        (leaf, root),
        (sibling, root),
        (child, sibling),
    ]
    assert said(rest) == [("response.deleted", sibling, ""), ("deleted", "", "")]


async def test_a_turn_that_runs_is_named_when_its_feed_is_opened(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str
) -> None:
    turn = await submitted(turn_client, in_conversation(make_turn(), conversation))
    for after, active in ((-1, (turn.id,)), (1, ()), (2, (turn.id,))):
        async with turn_client.feeds.follow(conversation, "ann", after=after) as feed:
            assert feed.active == active


async def test_a_feed_is_not_found_by_anybody_else(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str
) -> None:
    turn = await submitted(turn_client, make_turn())
    with pytest.raises(ConversationNotFound):
        async with turn_client.feeds.follow(conversation, "bob", after=-1):
            pass
    with pytest.raises(ResponseNotFound):
        async with turn_client.feeds.follow(turn.id, "bob", after=-1):
            pass


async def test_numbers_that_are_not_kept_or_never_were_are_refused(
    turn_client: TurnClient, redis: "Redis", conversation: str
) -> None:
    async with turn_client.feeds.follow(conversation, "ann", after=-1):
        pass
    for _ in range(60):
        await turn_client.conversations.add(
            conversation, "ann", [Message("user", "x") for _ in range(20)]
        )

    assert await redis.llen(keys.feed(conversation)) == 1000
    for gone in (0, 200, 1202):
        with pytest.raises(StreamExpired):
            async with turn_client.feeds.follow(conversation, "ann", after=gone):
                pass
    for after, first in ((-1, 202), (201, 202), (1200, 1201)):
        async with turn_client.feeds.follow(conversation, "ann", after=after) as feed:
            assert (await read(feed, 1))[0]["sequence_number"] == first


async def test_nothing_is_kept_for_turns_that_nobody_follows(
    turn_client: TurnClient, redis: "Redis", make_turn: MakeTurn, conversation: str
) -> None:
    root = await submitted(turn_client, in_conversation(make_turn(), conversation))
    await turn_client.cancel(root.id, "ann")

    assert await redis.keys("ts:feed*") == []


async def test_entries_that_were_missed_are_read_once_the_subscription_is_renewed(
    turn_client: TurnClient, redis: "Redis", conversation: str
) -> None:
    async with turn_client.feeds.follow(conversation, "ann", after=-1) as feed:
        await redis.delete(keys.feed_nodes(conversation))
        await turn_client.conversations.add(conversation, "ann", [Message("user", "x")])
        feed.follower.resync()
        assert [kind for kind, _, _ in said(await read(feed, 3))][2:] == ["item.created"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_deletion_that_was_missed_ends_the_feed_all_the_same(
    turn_client: TurnClient, redis: "Redis", conversation: str, late: bool
) -> None:
    async with turn_client.feeds.follow(conversation, "ann", after=-1) as feed:
        await read(feed, 2)
        await redis.delete(keys.feed_nodes(conversation))
        await turn_client.conversations.add(conversation, "ann", [Message("user", "x")])
        await turn_client.conversations.delete(conversation, "ann")
        if late:
            await redis.delete(keys.feed(conversation))
        feed.follower.resync()
        kinds = [kind for kind, _, _ in said(await read(feed, 9))]
    assert kinds == (["deleted"] if late else ["item.created", "deleted"])


async def test_a_warm_up_and_a_line_of_a_batch_are_in_the_feed_of_their_tree(
    turn_client: TurnClient,
    store: BatchStore,
    batch: Batch,
    line_of: Callable[[Batch, int], Turn],
    make_turn: MakeTurn,
) -> None:
    root = await submitted(turn_client, dataclasses.replace(make_turn(), generate=False))
    async with turn_client.feeds.follow(root.id, "ann", after=-1) as feed:
        warm_up, line = (
            dataclasses.replace(turn, previous_response_id=root.id)
            for turn in (dataclasses.replace(make_turn(), generate=False), line_of(batch, 1))
        )
        await submitted(turn_client, warm_up)
        await store.submit_lines(batch, [line])
        entries = await read(feed, 6)

    assert said(entries)[1:] == [
        ("response.created", root.id, ""),
        ("response.ended", root.id, "completed"),
        ("response.created", warm_up.id, ""),
        ("response.ended", warm_up.id, "completed"),
        ("response.created", line.id, ""),
    ]


async def test_a_steered_turn_ends_in_the_feed_before_its_successor_is_made(
    turn_client: TurnClient, make_turn: MakeTurn, conversation: str
) -> None:
    turn = await submitted(turn_client, in_conversation(make_turn(), conversation))
    async with turn_client.feeds.follow(conversation, "ann", after=2) as feed:
        target = await turn_client.steering.target(turn.id, "ann")
        more = (Message("user", "Shorter!"),)
        await turn_client.steering.steer(
            target, Steer(items=more, input="[]", key=key_of(more, None))
        )
        ended, made = await read(feed, 2)

    assert said([ended, made])[0] == ("response.ended", turn.id, "incomplete")
    assert made["type"].endswith(".response.created")
    assert made["response_id"] != turn.id
