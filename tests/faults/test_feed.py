"""Followers of a conversation miss nothing and get nothing twice, whatever is killed meanwhile."""

import asyncio

import httpx2
import pytest
from redis import Redis

from harness.reader import Reader
from harness.record import fetch
from harness.service import Service
from tests.faults.conftest import QUESTION
from tests.faults.feed_followers import Device, Stream, types_of
from turnstream.client import AsyncClient, FeedEntry

SHORT = QUESTION | {"max_output_tokens": 40}


async def talk(service: Service, conversation: str) -> Reader:
    reader = Reader(service.url)
    await reader.answer(**SHORT, conversation=conversation)
    return reader


@pytest.mark.parametrize(
    "fault", [pytest.param("node", marks=pytest.mark.long), "redis connections", "redis"]
)
async def test_all_devices_see_each_turn_once_and_the_same_words(
    service: Service, redis: Redis, fault: str
) -> None:
    conversation = fetch(service, "/v1/conversations", {})["id"]
    devices = [Device(service.url, conversation) for _ in range(2)]
    stream, late = Stream(service.url, conversation), Stream(service.url, conversation, after=2)
    followers: list[Device | Stream] = [*devices, stream]
    following = asyncio.gather(*(each.follow() for each in followers))
    entries: list[FeedEntry] = []
    async with asyncio.timeout(120), AsyncClient(service.url) as client:
        feed = await client.follow(conversation)
        first = await feed.next()
        assert first is not None
        entries.append(first)
        readers = [await talk(service, conversation)]
        reader = Reader(service.url)
        await reader.read(until="output_text.delta", **SHORT, conversation=conversation)
        if fault in ("node", "redis"):
            service.child("serve" if fault == "node" else "redis").kill()
        else:
            for kind in ("pubsub", "normal"):
                redis.client_kill_filter(_type=kind)
        await reader.read()
        readers += [reader, await talk(service, conversation)]
        following_late = asyncio.create_task(late.follow())
        while not all(len(each.entries) >= 7 for each in followers) or len(late.entries) < 4:
            assert not following.done()
            assert not following_late.done()
            await asyncio.sleep(0.05)
        while len(entries) < 7 and (entry := await feed.next()) is not None:
            entries.append(entry)
        async with httpx2.AsyncClient(base_url=service.url) as http:
            (await http.delete(f"/v1/conversations/{conversation}")).raise_for_status()
        async for entry in feed.entries():
            entries.append(entry)
        await following
        await following_late

    for each in followers:
        assert each.numbers == list(range(8))
        assert each.types == types_of(3)
    assert late.entries == stream.entries[3:]
    for device in devices:
        assert [device.text(reader.id) for reader in readers] == [each.text for each in readers]
    assert [entry.type for entry in entries] == types_of(3)
    assert [entry.sequence_number for entry in entries] == list(range(8))
