"""A primary is lost and its replica takes over, by real Sentinels.

What was not replicated is gone: a reader who had some of it is told so, and all others read on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.ports import free_port
from harness.reader import Reader, Refused, text_of
from harness.sentinels import Sentinels, TlsSentinels
from harness.turn import new_turn
from tests.faults.conftest import QUESTION
from tests.faults.own_redis import asked, eventually, running
from tests.turns.conftest import ending, slices
from turnstream.turns import keys
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.connection import connect, direct
from turnstream.turns.errors import RedisUnusable, ResponseLost
from turnstream.turns.follower import Follower
from turnstream.turns.log import Log, Verdict
from turnstream.turns.queue import RETRYABLE_ERRORS, TurnQueue
from turnstream.turns.redis_problem import Cause
from turnstream.turns.settings import TurnSettings
from turnstream.turns.turn import Claimed, Turn

PATIENCE_SECONDS = 60.0


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with Sentinels(tmp_path) as sentinels:
        yield sentinels


@pytest.fixture
def settings(sentinels: Sentinels) -> TurnSettings:
    # A lease outlives a failover, on a busy machine too; one test waits for its end.
    return TurnSettings(redis_url=sentinels.url, lease_seconds=3.0)


@pytest.fixture
async def node(settings: TurnSettings) -> AsyncIterator[TurnClient]:
    async with open_client(settings, "node-1") as node:
        yield node


@pytest.fixture
def client(settings: TurnSettings) -> Iterator["redis.Redis"]:
    with connect(settings.redis_url) as client:
        yield client


@pytest.mark.long
def test_a_service_that_reaches_redis_by_tls_goes_on_after_a_failover(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    question = {"input": "Do you know the movie Titanic?", "max_output_tokens": 8}
    with TlsSentinels(tmp_path) as sentinels, ExitStack() as stack:
        assert sentinels.url.startswith("rediss+sentinel://")
        programs = [
            stack.enter_context(
                running(command, tmp_path, sentinels.url, TURNSTREAM_PORT=str(port))
            )
            for command in ("serve", "worker")
        ]
        answers = lambda: asked(f"{url}/v1/responses", question)[0] == 200  # noqa: E731
        eventually(lambda: asked(f"{url}/readyz")[0] == 200, *programs)
        status, before = asked(f"{url}/v1/responses", question)
        replica = sentinels.other
        sentinels.fail_over()
        sentinels.wait_until(replica)
        eventually(answers, *programs)
        _, stored = asked(f"{url}/v1/responses/{before['id']}")

    assert status == 200
    assert stored["output"] == before["output"]


async def test_sentinels_and_redis_are_reached_by_tls(tmp_path: Path) -> None:
    with TlsSentinels(tmp_path) as sentinels:
        settings = TurnSettings(redis_url=sentinels.url)
        async with open_client(settings, "node-1") as node, asyncio.timeout(PATIENCE_SECONDS):
            turn = await submitted(node)
        with connect(settings.redis_url) as client:
            stored = client.exists(keys.turn(turn.id))
        untrusted, _, _ = sentinels.url.partition("&ssl_ca_certs")
        with connect(untrusted) as client, pytest.raises(redis.ConnectionError):
            client.ping()

    assert stored


async def submitted(node: TurnClient) -> Turn:
    """Submit a turn; on a busy machine the first handshakes may take longer than a command may."""
    while True:
        turn = new_turn()
        with suppress(RedisUnusable):
            async with node.submit(turn):
                return turn


def test_a_client_of_a_worker_thread_finds_the_primary_by_sentinels(client: "redis.Redis") -> None:
    assert direct(client).execute_command("PING")


async def read_to_the_end(follower: Follower) -> list[bytes]:
    events: list[bytes] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for batch in follower.batches():
            events += batch
    return events


async def until_read(follower: Follower, seq: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while follower.newest < seq:
            await asyncio.sleep(0.005)


def claim(queue: TurnQueue, id: str) -> Claimed:
    """Claim turns until this one is claimed, across a failover."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert time.monotonic() < deadline
        try:
            queue.sweep()
            claimed = queue.claim(4)
        except RETRYABLE_ERRORS:
            claimed = None
        if claimed is not None and claimed.id == id:
            return claimed
        time.sleep(0.02)


async def test_readers_of_what_was_not_replicated_are_told_and_the_others_read_on(
    sentinels: Sentinels, settings: TurnSettings, node: TurnClient, client: "redis.Redis"
) -> None:
    queue = TurnQueue(client, settings, model="tiny", worker="w0")
    log = Log(client, settings, worker="w0")
    early, late, last = (new_turn() for _ in range(3))
    async with AsyncExitStack() as stack:
        readers: dict[str, Follower] = {}
        reading: dict[str, asyncio.Task[list[bytes]]] = {}

        async def read(turn: Turn) -> None:
            reader = await stack.enter_async_context(node.submit(turn))
            readers[turn.id] = reader
            reading[turn.id] = asyncio.create_task(read_to_the_end(reader))

        for turn in (early, late):
            await read(turn)
            assert claim(queue, turn.id).seq == 2
            log.append([slices(turn.id, first=3, texts=["one", "two"])])
        assert client.wait(1, 5000) == 1

        # From here on nothing reaches the replica.
        primary, replica = sentinels.primary, sentinels.other
        replica.pause()
        primary.admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
        log.append([slices(late.id, first=5, texts=["lost"])])
        await read(last)
        await until_read(readers[late.id], 5)
        primary.kill()
        replica.go_on()
        await asyncio.to_thread(sentinels.wait_until, replica)

        # The worker goes on with the one turn, and learns that it is behind with the other.
        repeated = await asyncio.to_thread(append_when_back, log, early.id)
        refused = log.append([slices(late.id, first=6, texts=["more"])])
        again = await asyncio.to_thread(claim, queue, late.id)
        first = again.seq + 1
        texts = ["said", "anew", "as", "it", "is"]
        log.append([slices(late.id, attempt=2, first=first, texts=texts)])
        log.append([ending(late.id, attempt=2, first=first + len(texts))])
        await asyncio.wait(reading.values())

    assert (repeated, refused) == ([Verdict.OK], [Verdict.GAP])
    # While no worker had it, its readers may have been told that it still runs.
    assert again.attempt == 2
    assert again.seq in (4, 5)
    assert await reading[early.id] == events_of(client, early.id)
    for id in (late.id, last.id):
        with pytest.raises(ResponseLost):
            await reading[id]
    # One who asks now reads an answer that is whole.
    async with node.follow(late.id, "ann", after=-1) as follower:
        assert await read_to_the_end(follower) == events_of(client, late.id)


async def test_a_turn_is_refused_that_no_replica_has_in_time(
    sentinels: Sentinels, settings: TurnSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnstream.turns.replication.REPLICA_MS", 50)
    careful = replace(settings, wait_replicas=1)
    primary, replica = sentinels.primary, sentinels.other
    async with open_client(careful, "node-2") as node:
        async with node.submit(accepted := new_turn()):
            assert replica.admin.exists(keys.turn(accepted.id))
        replica.pause()
        primary.admin.execute_command("CLIENT", "KILL", "TYPE", "replica")
        try:
            with pytest.raises(RedisUnusable) as refused:
                async with node.submit(new_turn(idempotency_key="k")):
                    pass
        finally:
            replica.go_on()
    assert refused.value.problem.cause is Cause.TOO_FEW_REPLICAS


def append_when_back(log: Log, id: str) -> list[Verdict]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return log.append([ending(id, first=5)])
        except RETRYABLE_ERRORS:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def events_of(client: "redis.Redis", id: str) -> list[bytes]:
    entries: Any = client.xrange(keys.log(id))
    return [fields[b"event"] for _, fields in entries]


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "demoted", "demoted with min-replicas-to-write"])
async def test_fifty_readers_are_whole_or_told_and_the_processes_go_on(
    sentinels: Sentinels, tmp_path: Path, how: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"TURNSTREAM_LEASE_SECONDS": "2", "TURNSTREAM_DTYPE": "float32"}
    with ExitStack() as stack:
        programs = [
            stack.enter_context(
                running(command, tmp_path, sentinels.url, TURNSTREAM_PORT=str(port), **environ)
            )
            for command in ("serve", "worker", "worker")
        ]
        await asyncio.to_thread(eventually, lambda: ready(url, sentinels.primary.admin), *programs)
        readers = [Reader(url) for _ in range(50)]
        reading = [asyncio.create_task(told_or_whole(reader)) for reader in readers]
        while not any(len(reader.events) > 10 for reader in readers):
            await asyncio.sleep(0.01)
        replica = sentinels.other
        if how == "demoted with min-replicas-to-write":
            # Then the old primary takes no more writes once its replica is the primary.
            sentinels.primary.admin.config_set("min-replicas-to-write", 1)
        if how == "killed":
            sentinels.primary.kill()
        else:
            sentinels.fail_over()
        await asyncio.to_thread(sentinels.wait_until, replica)
        ends = await asyncio.gather(*reading)

        lost = ends.count("response_lost")
        assert ends.count("whole") + lost == 50, ends
        assert lost == 0 or how != "demoted with min-replicas-to-write"
        for reader, end in zip(readers, ends, strict=True):
            if end == "whole":
                # An end that was read and then lost is written again; the seed makes it the same.
                await asyncio.to_thread(
                    eventually, lambda r=reader: stored_text(url, r.id) == r.text, *programs
                )
        # Wake-ups too are taken from the new primary: this command is Celery's.
        commands = lambda: [each["cmd"] for each in replica.admin.client_list()]  # noqa: E731
        await asyncio.to_thread(eventually, lambda: commands().count("brpop") >= 2, *programs)
        assert (await asyncio.to_thread(asked, f"{url}/v1/responses", QUESTION))[0] == 200
        assert [program.process.poll() for program in programs] == [None] * 3


def stored_text(url: str, id: str) -> str | None:
    """Return the text of a response, once it has ended."""
    _, answer = asked(f"{url}/v1/responses/{id}")
    return text_of(answer) if answer.get("status") in ("completed", "incomplete") else None


def ready(url: str, admin: "redis.Redis") -> bool:
    """Return whether turns are answered, by both workers."""
    return asked(f"{url}/readyz")[0] == 200 and admin.zcard(keys.heartbeats("demo")) == 2


async def told_or_whole(reader: Reader) -> str:
    """Read to the end; return how it ended."""
    try:
        await reader.read(**QUESTION)
    except Refused as exc:
        return exc.code
    assert reader.final["type"] in ("response.completed", "response.incomplete")
    return "whole"
