"""Installations with different prefixes share one Redis and do not meet."""

import dataclasses
import time

import pytest
from redis.asyncio import Redis

from tests.turns.batch_values import PLAN
from tests.turns.conftest import MakeTurn, ending, slices
from tests.turns.test_follow import rest_of
from turnstream.turns import keys
from turnstream.turns.api_keys import ApiKeys
from turnstream.turns.batch import Status
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import open_client
from turnstream.turns.commands import commands
from turnstream.turns.connection import connect, connect_async
from turnstream.turns.environment import SettingError
from turnstream.turns.files import Files
from turnstream.turns.limits import OwnerLimits
from turnstream.turns.loading import LoadingProgress
from turnstream.turns.log import Log
from turnstream.turns.owner_limits import CurrentLimits, StoredLimits
from turnstream.turns.prefixed_clients import prefixed
from turnstream.turns.problem_log import ProblemLog
from turnstream.turns.queue import TurnQueue
from turnstream.turns.redis_calls import RedisCalls
from turnstream.turns.settings import TurnSettings
from turnstream.turns.webhook_events import EVENT_TYPES
from turnstream.turns.webhook_outbox import WebhookOutbox
from turnstream.turns.webhooks import Webhooks

PREFIX = "ours:"


async def test_a_turn_of_a_prefixed_installation_touches_no_other_keys(
    settings: TurnSettings, make_turn: MakeTurn, redis: Redis
) -> None:
    ours = dataclasses.replace(settings, key_prefix=PREFIX)
    turn = make_turn()
    with connect(ours.redis_url, key_prefix=PREFIX) as client:
        queue = TurnQueue(client, ours, model=turn.model, worker="w0")
        queue.heartbeat([], {}, slots=2)
        LoadingProgress(client, turn.model).report(0.5)
        assert queue.claim(2) is None
        listening = commands(client, model=turn.model, worker="w0")
        assert next(listening) is None
        async with open_client(ours, "n") as node, node.submit(turn) as follower:
            claimed = queue.claim(2)
            assert claimed is not None
            Log(client, ours, worker="w0").append(
                [slices(turn.id, first=claimed.seq + 1, texts=["a"])]
            )
            Log(client, ours, worker="w0").append([ending(turn.id, first=claimed.seq + 2)])
            events = await rest_of(follower)
            assert await node.redis_problem(turn.model) is None
            assert turn.model in await node.models.all()
            assert await node.models.loaded_percent(turn.model) == 50
            channels = await redis.pubsub_channels()
        queue.unregister()
        listening.close()
    store = connect_async(ours.redis_url, key_prefix=PREFIX)
    calls = RedisCalls(ProblemLog(ours.redis_url))
    webhooks, outbox = Webhooks(store, calls), WebhookOutbox(store)
    hook = await webhooks.create("ann", name="x", url="https://a.b/", event_types=EVENT_TYPES)
    assert (await webhooks.page("ann", after="we_0", limit=9))[0] == [hook]
    batches = BatchStore(store, calls, ours, CurrentLimits(ours.limits))
    batch = await batches.create("ann", PLAN, None)
    assert (await batches.page("ann", after=None, limit=9))[0] == [batch]
    assert await batches.parts(batch) == []
    assert await batches.count_failure(batch) == 1
    taken = await batches.take()
    assert taken is not None
    await batches.end(taken, Status.FAILED, 60)
    [delivery] = await outbox.claim(1)
    assert [each.event for each in await outbox.waiting(hook.id, 9)] == [delivery.event]
    assert await Files(store, calls).expired(time.time()) == []
    api_keys, limits = ApiKeys(store, calls), StoredLimits(store, calls)
    _, key = await api_keys.create("ann")
    await api_keys.note_use(key.id)
    assert [each.id for each in await api_keys.all()] == [key.id]
    assert await api_keys.revoke(key.id)
    await limits.set("ann", "requests_per_minute=60")
    assert list(await limits.all()) == ["ann"]
    await limits.refresh(CurrentLimits(OwnerLimits()))
    await store.aclose()

    assert sorted(channels) == [b"ours:ts:node:n", f"ours:ts:worker:{turn.model}:w0".encode()]
    assert events[-1] == b'{"end":1}'
    found = await redis.keys()
    assert PREFIX.encode() + keys.turn(turn.id).encode() in found
    assert PREFIX.encode() + f"turns.{turn.model}.w0".encode() in found
    assert [key for key in found if not key.startswith(PREFIX.encode())] == []


async def test_an_installation_without_a_prefix_knows_nothing_of_the_other(
    settings: TurnSettings, make_turn: MakeTurn
) -> None:
    ours = dataclasses.replace(settings, key_prefix=PREFIX)
    async with open_client(ours, "n") as node, node.submit(make_turn()):
        with connect(settings.redis_url) as client:
            assert TurnQueue(client, settings, model="tiny", worker="w0").claim(1) is None
        with connect(settings.redis_url, key_prefix=PREFIX) as client:
            assert TurnQueue(client, ours, model="tiny", worker="w0").claim(1) is not None


def test_a_command_whose_keys_are_not_known_is_an_error_and_not_sent() -> None:
    assert prefixed("p:", ("BLPOP", "a", "b", 1)) == ("BLPOP", "p:a", "p:b", 1)
    with pytest.raises(NotImplementedError, match="RENAME"):
        prefixed("p:", ("RENAME", "a", "b"))


@pytest.mark.parametrize("prefix", ["a b", "*", "a'b", "x" * 65])
def test_a_prefix_that_redis_or_lua_would_read_otherwise_is_refused(prefix: str) -> None:
    with pytest.raises(SettingError, match="TURNSTREAM_KEY_PREFIX must be"):
        TurnSettings.read({"TURNSTREAM_KEY_PREFIX": prefix})
