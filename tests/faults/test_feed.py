"""Followers of a conversation miss nothing and get nothing twice, whatever is killed meanwhile."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from harness.reader import DISCONNECTED, Reader
from harness.record import fetch
from harness.service import Service
from tests.faults.conftest import QUESTION
from turnstream.client import AsyncClient, FeedEntry

SHORT = QUESTION | {"max_output_tokens": 40}
Json = dict[str, Any]


class Device:
    """Follows a conversation by the bare protocol, through reconnects."""

    def __init__(self, service: Service, conversation: str) -> None:
        self._url = service.url.replace("http", "ws", 1) + "/v1/responses"
        self._conversation = conversation
        self.entries: list[Json] = []
        #: The events of each response, by its id.
        self.responses: dict[str, list[Json]] = {}

    async def follow(self) -> None:
        """Read until the conversation is deleted."""
        while not (self.entries and self.entries[-1]["type"].endswith(".deleted")):
            try:
                async with connect(self._url, max_size=None) as socket:
                    await self._read(socket)
            except DISCONNECTED:
                await asyncio.sleep(0.1)

    async def _read(self, socket: ClientConnection) -> None:
        after = self.entries[-1]["sequence_number"] if self.entries else -1
        asked = {"conversation": self._conversation, "starting_after": after, "stream_id": "feed"}
        await socket.send(json.dumps({"type": "turnstream:conversation.follow", **asked}))
        async for text in socket:
            said = json.loads(text)
            name = said.get("stream_id")
            if said["type"] == "error":
                assert said["status"] == 503, said
                return
            if name != "feed" and name is not None:
                self._take(self.responses.setdefault(name, []), said)
            elif name == "feed" and "sequence_number" in said:
                self.entries.append(said)
                if said["type"].endswith("conversation.deleted"):
                    return

    @staticmethod
    def _take(events: list[Json], event: Json) -> None:
        # After a reconnect they begin again.
        if event["sequence_number"] < len(events):
            assert events[event["sequence_number"]] == event
        else:
            assert event["sequence_number"] == len(events)
            events.append(event)

    def text(self, response_id: str) -> str:
        return "".join(each.get("delta", "") for each in self.responses[response_id])


class Stream:
    """Follows a conversation by server-sent events, through reconnects."""

    def __init__(self, service: Service, conversation: str, after: int = -1) -> None:
        self._url = f"{service.url}/v1/conversations/{conversation}/feed"
        self._after = after
        self.entries: list[Json] = []

    async def follow(self) -> None:
        """Read until the conversation is deleted."""
        async with httpx2.AsyncClient(timeout=30) as http:
            while not (self.entries and self.entries[-1]["type"].endswith(".deleted")):
                with suppress(httpx2.TransportError):
                    await self._read(http)
                await asyncio.sleep(0.1)

    async def _read(self, http: httpx2.AsyncClient) -> None:
        after = self.entries[-1]["sequence_number"] if self.entries else self._after
        query = {"responses": "false", "starting_after": str(after)}
        async with http.stream("GET", self._url, params=query) as answer:
            assert answer.status_code in (200, 503)
            async for line in answer.aiter_lines():
                if answer.status_code == 200 and line.startswith("data: "):
                    said = json.loads(line.removeprefix("data: "))
                    if said["type"] == "error":
                        assert said["status"] == 503, said
                    else:
                        self.entries.append(said)


async def talk(service: Service, conversation: str) -> Reader:
    reader = Reader(service.url)
    await reader.answer(**SHORT, conversation=conversation)
    return reader


def types_of(turns: int) -> list[str]:
    made = ["response.created", "response.ended"] * turns
    return ["opened", *made, "deleted"]


@pytest.mark.parametrize(
    "fault", [pytest.param("node", marks=pytest.mark.long), "redis connections", "redis"]
)
async def test_all_devices_see_each_turn_once_and_the_same_words(
    service: Service, redis: Redis, fault: str
) -> None:
    conversation = fetch(service, "/v1/conversations", {})["id"]
    devices = [Device(service, conversation) for _ in range(2)]
    stream, late = Stream(service, conversation), Stream(service, conversation, after=2)
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

    prefix = "turnstream:conversation."
    for each in followers:
        assert [entry["sequence_number"] for entry in each.entries] == list(range(8))
        assert [entry["type"].removeprefix(prefix) for entry in each.entries] == types_of(3)
    assert late.entries == stream.entries[3:]
    for device in devices:
        assert [device.text(reader.id) for reader in readers] == [each.text for each in readers]
    assert [entry.type for entry in entries] == types_of(3)
    assert [entry.sequence_number for entry in entries] == list(range(8))
