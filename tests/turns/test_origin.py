"""What a log line of a worker says of where a turn came from."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis.asyncio

from tests.turns.conftest import MODEL, MakeTurn, submitted
from turnstream.turns import keys
from turnstream.turns.batch import Batch
from turnstream.turns.batch_store import BatchStore
from turnstream.turns.client import TurnClient
from turnstream.turns.origin import Origin, log_fields
from turnstream.turns.queue import TurnQueue
from turnstream.turns.turn import Turn


async def test_a_worker_learns_the_node_and_the_request_of_a_turn(
    turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn
) -> None:
    turn = replace(make_turn(), origin=Origin(request_id="req_7"))
    await submitted(turn_client, turn)

    claimed = queue.claim(1)

    assert claimed is not None
    assert log_fields(claimed) == {
        "turn_id": turn.id,
        "attempt": 1,
        "node": "node-1",
        "request_id": "req_7",
    }


async def test_a_line_of_a_batch_has_neither(
    store: BatchStore, queue: TurnQueue, batch: Batch, line_of: Callable[..., Turn]
) -> None:
    await store.submit_lines(batch, [line_of(batch, 1)])

    claimed = queue.claim(1)

    assert claimed is not None
    assert claimed.origin == Origin()


async def test_a_lost_turn_is_logged_with_the_worker_that_was_lost(
    turn_client: TurnClient,
    make_queue: Callable[..., TurnQueue],
    make_turn: MakeTurn,
    redis: "redis.asyncio.Redis",
    caplog: pytest.LogCaptureFixture,
) -> None:
    turn = replace(make_turn(), origin=Origin(request_id="req_7"))
    await submitted(turn_client, turn)
    make_queue("w0").claim(1)
    await redis.zadd(keys.leases(), {turn.id: 1})

    with caplog.at_level(logging.WARNING):
        assert make_queue("w1").sweep() == [turn.id]

    [record] = [each for each in caplog.records if "expired" in each.getMessage()]
    said = {name: getattr(record, name) for name in ("turn_id", "attempt", "model", "worker")}
    assert said == {"turn_id": turn.id, "attempt": 1, "model": MODEL, "worker": "w0"}
    assert (record.node, record.request_id) == ("node-1", "req_7")  # type: ignore[attr-defined]
