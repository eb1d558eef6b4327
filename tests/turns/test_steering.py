"""What a steer counts for, who may steer, and what is left of a steer in Redis."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, submitted
from turnstream.turns import keys
from turnstream.turns.batch import Batch
from turnstream.turns.client import TurnClient, open_client
from turnstream.turns.errors import (
    ConversationTooLong,
    RateLimited,
    ResponseNotFound,
    TierNotAllowed,
)
from turnstream.turns.limits import OwnerLimits
from turnstream.turns.log import Log, Verdict
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.steering import Steer, SteerRefused, key_of
from turnstream.turns.turn import Message, Turn

#: Opens a node with settings.
Node = Callable[..., AbstractAsyncContextManager[TurnClient]]


@pytest.fixture
def node(settings: TurnSettings) -> Node:
    @asynccontextmanager
    async def make(limits: str = "", **changed: int) -> AsyncIterator[TurnClient]:
        read = OwnerLimits.read({"TURNSTREAM_LIMITS": limits})
        async with open_client(
            dataclasses.replace(settings, limits=read, **changed), "n"
        ) as turn_client:
            yield turn_client

    return make


async def steer(turn_client: TurnClient, turn: Turn, text: str = "Shorter!", **fields: int) -> str:
    target = await turn_client.steering.target(turn.id, turn.owner)
    items = (Message("user", text),)
    asked = Steer(items=items, input=f'"{text}"', key=key_of(items, None), api_key="k", **fields)
    return await turn_client.steering.steer(target, asked)


async def running(turn_client: TurnClient, queue: TurnQueue, turn: Turn) -> Turn:
    await submitted(turn_client, turn)
    claimed = queue.claim(1)
    assert claimed is not None
    assert claimed.id == turn.id
    return turn


async def counted(redis: Redis, *names: str, owner: str = "ann") -> list[float]:
    found = await redis.hmget(keys.owner(owner), list(names))  # type: ignore[misc]
    return [float(each or 0) for each in found]


async def test_a_chain_of_successors_leaves_no_turn_counted(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await running(turn_client, queue, make_turn())
    for _ in range(3):
        await steer(turn_client, turn)
        assert await counted(redis, "live", "waiting") == [1, 0]
        assert log.append([ending(turn.id, first=3)]) == [Verdict.OK]
        assert await counted(redis, "live", "waiting") == [1, 1]
        claimed = queue.claim(1)
        assert claimed is not None
        turn = dataclasses.replace(turn, id=claimed.id)
    log.append([ending(turn.id, first=3)])

    assert await counted(redis, "live", "waiting") == [0, 0]
    assert queue.claim(1) is None


async def test_an_owner_at_its_limit_of_turns_can_steer_the_one_that_runs(
    node: Node, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    async with node("in_flight=1") as turn_client:
        turn = await running(turn_client, queue, make_turn())
        await steer(turn_client, turn)
        log.append([ending(turn.id, first=3)])

    assert queue.claim(1) is not None


async def test_the_first_steer_of_a_turn_counts_as_a_request(
    node: Node, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    async with node("requests_per_minute=3") as turn_client:
        first = await running(turn_client, queue, make_turn())
        second = await running(turn_client, queue, make_turn())
        await steer(turn_client, first, "One.")
        await steer(turn_client, first, "Two.")
        with pytest.raises(RateLimited, match="requests_per_minute=3"):
            await steer(turn_client, second)

        assert await redis.hget(keys.turn(second.id), "successor") is None  # type: ignore[misc]
        assert not await redis.exists(keys.steers(second.id))


async def test_a_keys_own_limit_holds_for_steers(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    first = await running(turn_client, queue, make_turn())
    second = await running(turn_client, queue, make_turn())
    await steer(turn_client, first, requests_per_minute=1)

    with pytest.raises(RateLimited, match="requests_per_minute=1"):
        await steer(turn_client, second, requests_per_minute=1)


@pytest.mark.parametrize("ends", ["completed", "cancelled"])
async def test_tokens_are_counted_for_a_successor_and_given_back_without_one(
    node: Node, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis, ends: str
) -> None:
    async with node("tokens_per_minute=60 tokens_per_day=1000") as turn_client:
        turn = await running(turn_client, queue, make_turn())
        [alone] = await counted(redis, "tokens")
        await steer(turn_client, turn)
        [both] = await counted(redis, "tokens")
        if ends == "cancelled":
            await turn_client.cancel(turn.id, "ann")
        log.append([ending(turn.id, first=3)])
        claimed = queue.claim(1)
        if claimed is not None:
            log.append([ending(claimed.id, first=3)])

    used = await redis.hget(keys.usage("ann"), "day_tokens")  # type: ignore[misc]
    assert both > alone + 7
    assert (claimed is None) == (ends == "cancelled")
    # Of ended turns the actual number counts, which is 0 here; the bucket leaks a little meanwhile.
    assert (await counted(redis, "tokens"))[0] <= 0
    assert int(used or 0) == 0


async def test_bytes_of_input_that_wait_for_a_turn_are_limited(
    node: Node, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    async with node(steer_bytes=1024) as turn_client:
        turn = await running(turn_client, queue, make_turn())
        await steer(turn_client, turn, "a" * 300)
        with pytest.raises(SteerRefused) as refused:
            await steer(turn_client, turn, "b" * 300)
        await steer(turn_client, turn, "c")

    assert refused.value.code == "too_many_pending_steers"


async def test_a_conversation_that_would_be_too_long_takes_no_input(
    node: Node, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    async with node(conversation_turns=1) as turn_client:
        turn = await running(turn_client, queue, make_turn())
        with pytest.raises(ConversationTooLong, match="1 turns"):
            await steer(turn_client, turn)


async def test_another_owners_turn_is_not_found(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = await running(turn_client, queue, make_turn())

    with pytest.raises(ResponseNotFound):
        await steer(turn_client, dataclasses.replace(turn, owner="bob"))


async def test_a_line_of_a_batch_and_a_raw_prompt_cannot_be_steered(
    turn_client: TurnClient,
    make_turn: MakeTurn,
    batch: Batch,
    line_of: Callable[..., Turn],
) -> None:
    line, turn = line_of(batch, 1), make_turn()
    raw = dataclasses.replace(turn, request=dataclasses.replace(turn.request, raw=True))
    for each in (line, raw):
        await submitted(turn_client, each)
        with pytest.raises(SteerRefused) as refused:
            await steer(turn_client, each)
        assert refused.value.code == "steering_not_supported"


async def test_a_worker_that_missed_the_command_learns_of_the_steer_at_its_heartbeat(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = await running(turn_client, queue, make_turn())
    assert queue.heartbeat([(turn.id, 1)], {}, slots=1) == [LeaseStatus.OK]
    await steer(turn_client, turn)
    assert queue.heartbeat([(turn.id, 1)], {}, slots=1) == [LeaseStatus.STEER]
    await turn_client.cancel(turn.id, "ann")

    assert queue.heartbeat([(turn.id, 1)], {}, slots=1) == [LeaseStatus.CANCEL]


async def test_texts_of_a_steer_are_not_kept_twice(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await running(turn_client, queue, make_turn())
    id = await steer(turn_client, turn)
    log.append([ending(turn.id, first=3)])

    left = await redis.hgetall(keys.steers(turn.id))  # type: ignore[misc]
    assert left[b"id:1"] == id.encode()
    assert not {b"response", b"items:1", b"input:1"} & left.keys()
    assert 0 < await redis.ttl(keys.steers(turn.id)) <= await redis.ttl(keys.turn(turn.id))
    await turn_client.stored.delete(turn.id, "ann")
    assert not await redis.exists(keys.steers(turn.id))


async def test_bytes_of_steers_count_for_their_owner_while_they_are_kept(
    node: Node, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    async def stored() -> int:
        return int(await redis.hget(keys.stored_bytes("ann"), "total") or 0)  # type: ignore[misc]

    async with node("stored_bytes=20000") as turn_client:
        turn = await running(turn_client, queue, make_turn())
        alone = await stored()
        await steer(turn_client, turn, "a" * 4000)
        assert await stored() > alone + 8000
        with pytest.raises(RateLimited, match="stored_bytes=20000"):
            await steer(turn_client, turn, "b" * 4000)
        log.append([ending(turn.id, first=3)])
        successor = queue.claim(1)
        assert successor is not None
        with_successor = await stored()
        log.append([ending(successor.id, first=3)])
        for id in (successor.id, turn.id):
            await turn_client.stored.delete(id, "ann")

        # The text is kept once, in the successor's record.
        assert with_successor < alone + 4000 + 8000
        failing = await running(turn_client, queue, make_turn())
        before = await stored()
        await steer(turn_client, failing, "c" * 2000)
        await turn_client.cancel(failing.id, "ann")
        log.append([ending(failing.id, first=3)])
        kept = await stored()
        assert kept > before + 4000
        await turn_client.stored.delete(failing.id, "ann")

        # With the record; the log expires by itself.
        assert await stored() < kept - 4000 - 1536


async def test_a_turn_in_a_tier_that_its_owner_may_not_use_any_more_is_not_steered(
    turn_client: TurnClient, node: Node, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = await running(turn_client, queue, make_turn(tier="flex"))
    async with node("tiers=default") as limited:
        with pytest.raises(TierNotAllowed):
            await steer(limited, turn)


async def test_a_successor_keeps_the_conversation_before_it_alive(
    turn_client: TurnClient, queue: TurnQueue, log: Log, make_turn: MakeTurn, redis: Redis
) -> None:
    turn = await running(turn_client, queue, make_turn(store=False))
    log.append([ending(turn.id, first=3)])
    after = make_turn(previous_response_id=turn.id, previous_cached=True)
    await running(turn_client, queue, after)
    await steer(turn_client, after)
    await redis.expire(keys.turn(turn.id), 5)
    await redis.hdel(keys.turn(turn.id), "held")  # type: ignore[misc]
    log.append([ending(after.id, first=3)])

    assert await redis.ttl(keys.turn(turn.id)) > 60
