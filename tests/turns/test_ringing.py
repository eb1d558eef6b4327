"""Who is rung when a turn is handed in, and what the bell says."""

import json

from redis.asyncio import Redis

from tests.turns.conftest import MODEL, MakeTurn, handed_in
from turnstream.turns.front import Front
from turnstream.turns.queue import TurnQueue


async def test_the_worker_with_most_free_rows_is_rung(
    front: Front, make_queue: object, make_turn: MakeTurn, redis: Redis
) -> None:
    for worker, slots in (("w0", 1), ("w1", 3)):
        queue = make_queue(worker)  # type: ignore[operator]
        queue.beat([], {}, slots=4)
        queue.claim(slots)

    turns = [await handed_in(front, make_turn()) for _ in range(4)]

    bells = {w: await redis.lrange(f"turns.{MODEL}.{w}", 0, -1) for w in ("w0", "w1")}
    assert {worker: len(rung) for worker, rung in bells.items()} == {"w0": 1, "w1": 3}
    assert json.loads(bells["w1"][-1])["headers"]["argsrepr"] == f"('{turns[0].id}',)"


async def test_nobody_is_rung_when_no_row_is_free(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.beat([], {}, slots=4)
    queue.claim(1)

    await handed_in(front, make_turn())
    await handed_in(front, make_turn())

    assert await redis.llen(f"turns.{MODEL}.w0") == 1


async def test_a_bell_never_carries_what_was_said(
    front: Front, queue: TurnQueue, make_turn: MakeTurn, redis: Redis
) -> None:
    queue.beat([], {}, slots=4)
    queue.claim(1)

    await handed_in(front, make_turn("a secret"))

    [bell] = await redis.lrange(f"turns.{MODEL}.w0", 0, -1)
    assert b"secret" not in bell
