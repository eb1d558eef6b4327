"""A primary is replaced by its replica, by real Sentinels, while devices follow a conversation.

Replication is asynchronous: what was not replicated is gone. Who had it is told so, and is not
given entries that do not follow on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.ports import free_port
from harness.reader import Reader
from harness.sentinels import Sentinels
from harness.service import READY_SECONDS
from tests.faults.conftest import QUESTION
from tests.faults.feed_followers import Device, Entries, Stream
from tests.faults.own_redis import asked, eventually, running

PATIENCE_SECONDS = 180.0
SHORT = QUESTION | {"max_output_tokens": 20, "model": "demo"}
#: A turn that ends at once, without a worker.
TURN = {"generate": False, "input": "Hi", "model": "demo"}


@dataclass(frozen=True, slots=True)
class Installation:
    """A node at a Redis with Sentinels."""

    url: str
    sentinels: Sentinels


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"TURNSTREAM_PORT": str(port), "TURNSTREAM_MODEL": "demo"}
    with (
        Sentinels(tmp_path) as sentinels,
        running("serve", tmp_path, sentinels.url, **environ) as serve,
    ):
        eventually(lambda: asked(f"{url}/healthz")[0] == 200, serve)
        yield Installation(url, sentinels)


@pytest.fixture
def worker(installation: Installation, tmp_path: Path) -> Iterator[None]:
    redis_url = installation.sentinels.url
    with running("worker", tmp_path, redis_url, TURNSTREAM_DTYPE="float32") as worker:
        ready = f"{installation.url}/readyz"
        # Loading torch on a busy machine is slow.
        eventually(lambda: asked(ready)[0] == 200, worker, seconds=READY_SECONDS)
        yield


@pytest.fixture
async def http(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=installation.url, timeout=30, verify=False) as http:
        yield http


async def until_accepted(http: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """Have a turn, as soon as Redis is back."""
    while (answer := await http.post("/v1/responses", json=body)).status_code != 200:
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.05)


async def feed_of(url: str, conversation: str, count: int) -> list[dict[str, Any]]:
    """Return the first entries of a feed, as it is now."""
    now = Stream(url, conversation)
    reading = asyncio.create_task(now.follow())
    await until_all_have([now], count)
    reading.cancel()
    await asyncio.wait({reading})
    return now.entries[:count]


def begin_to_follow(follower: Device | Stream, stack: AsyncExitStack) -> asyncio.Task[None]:
    following = asyncio.create_task(follower.follow())
    stack.callback(following.cancel)
    return following


async def until_all_have(followers: Sequence[Entries], count: int) -> None:
    while not all(each.expired or len(each.entries) >= count for each in followers):
        await asyncio.sleep(0.01)


def without_name(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries as they are without the name that a socket gave to the feed."""
    return [{k: v for k, v in each.items() if k != "stream_id"} for each in entries]


@pytest.mark.long
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("how", ["killed", "demoted"])
async def test_followers_of_a_conversation_have_each_entry_once_or_are_told_after_a_failover(
    installation: Installation, http: httpx2.AsyncClient, how: str
) -> None:
    url, sentinels = installation.url, installation.sentinels
    id = (await http.post("/v1/conversations", json={})).json()["id"]
    followers: list[Device | Stream] = [
        Device(url, id, responses=False),
        Device(url, id),
        Stream(url, id),
    ]
    async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as stack:
        for each in followers:
            begin_to_follow(each, stack)
        await Reader(url).answer(**SHORT, conversation=id)
        await until_all_have(followers, 3)
        replica = sentinels.other
        assert sentinels.primary.admin.wait(1, 5000) == 1

        running_turn = Reader(url)
        await running_turn.read(until="delta", **SHORT, conversation=id)
        assert sentinels.primary.admin.wait(1, 5000) == 1
        if how == "killed":
            sentinels.primary.kill()
        else:
            sentinels.fail_over()
        await running_turn.read()
        await asyncio.to_thread(sentinels.wait_until, replica)
        await until_accepted(http, TURN | {"conversation": id})
        await until_all_have(followers, 7)
        stored = await feed_of(url, id, 7)

    for each in followers:
        had = without_name(each.entries)
        assert each.numbers == list(range(len(had)))
        assert each.expired or had == stored


@pytest.mark.long
async def test_followers_who_had_what_a_failover_lost_are_told_and_can_begin_again(
    installation: Installation, http: httpx2.AsyncClient
) -> None:
    url, sentinels = installation.url, installation.sentinels
    id = (await http.post("/v1/conversations", json={})).json()["id"]
    followers: list[Device | Stream] = [Device(url, id), Device(url, id), Stream(url, id)]
    away: list[Device | Stream] = [Device(url, id), Stream(url, id)]
    async with asyncio.timeout(PATIENCE_SECONDS), AsyncExitStack() as stack:
        following = [begin_to_follow(each, stack) for each in (*followers, *away)]
        await until_accepted(http, TURN | {"conversation": id})
        await until_all_have(followers, 3)
        primary, replica = sentinels.primary, sentinels.other
        assert primary.admin.wait(1, 5000) == 1
        kept = await feed_of(url, id, 3)

        # From here on nothing reaches the replica.
        replica.pause()
        primary.admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
        await until_accepted(http, TURN | {"conversation": id})
        await until_all_have(followers + away, 5)
        for task in following[len(followers) :]:
            task.cancel()
        primary.kill()
        replica.go_on()
        await asyncio.to_thread(sentinels.wait_until, replica)
        # Entries with numbers that the followers have, and further ones.
        for _ in range(2):
            await until_accepted(http, TURN | {"conversation": id})
        # Those who were away come back when other entries have their numbers.
        for each in away:
            begin_to_follow(each, stack)
        while not all(each.expired for each in followers + away):
            await asyncio.sleep(0.05)
        stored = await feed_of(url, id, 7)

    for each in followers + away:
        assert each.numbers == list(range(5))
        assert without_name(each.entries)[:3] == kept == stored[:3]
        assert without_name(each.entries)[3:] != stored[3:5]
    assert [each["sequence_number"] for each in stored] == list(range(7))
