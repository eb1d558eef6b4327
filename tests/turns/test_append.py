"""Which appends to a log are accepted, and from which attempt."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from tests.turns.conftest import MakeTurn, ending, slices, submitted
from turnstream.turns import keys
from turnstream.turns.client import TurnClient
from turnstream.turns.log import Append, Entry, Log, Requeued, Verdict
from turnstream.turns.queue import TurnQueue
from turnstream.turns.token_logprobs import TokenLogprobs
from turnstream.turns.turn import Turn

MakeQueue = Callable[..., TurnQueue]


@pytest.fixture
async def turn(turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn) -> Turn:
    """A turn that w0 has claimed: its log ends with number 2, `response.in_progress`."""
    turn = await submitted(turn_client, make_turn())
    assert queue.claim(1) is not None
    return turn


async def test_the_next_number_is_written(log: Log, turn: Turn, redis: Redis) -> None:
    assert log.append([slices(turn.id, first=3, texts=["a", "b"])]) == [Verdict.OK]

    entries = await redis.xrange(keys.log(turn.id), "4-0")
    assert [(id, fields[b"event"], fields[b"token_ids"]) for id, fields in entries] == [
        (b"4-0", b'{"n":"a"}', b"3"),
        (b"5-0", b'{"n":"b"}', b"4"),
    ]


@pytest.mark.parametrize(
    ("attempt", "first", "verdict"),
    [
        (1, 2, Verdict.REPEATED),
        (1, 4, Verdict.GAP),
        (0, 3, Verdict.STALE),
        (2, 3, Verdict.STALE),
    ],
)
async def test_any_other_number_or_attempt_is_refused_and_writes_nothing(
    log: Log, turn: Turn, redis: Redis, attempt: int, first: int, verdict: Verdict
) -> None:
    part = slices(turn.id, attempt=attempt, first=first, texts=["a"])

    assert log.append([part]) == [verdict]

    assert await redis.xlen(keys.log(turn.id)) == 3


async def test_the_same_append_again_is_repeated_not_written_twice(
    log: Log, turn: Turn, redis: Redis
) -> None:
    part = slices(turn.id, first=3, texts=["a", "b"])
    log.append([part])

    assert log.append([part]) == [Verdict.REPEATED]

    assert await redis.xlen(keys.log(turn.id)) == 5


async def test_nothing_follows_a_terminal_event(log: Log, turn: Turn) -> None:
    log.append([ending(turn.id, first=3)])

    assert log.append([slices(turn.id, first=4, texts=["a"])]) == [Verdict.ENDED]
    assert log.append([ending(turn.id, first=4)]) == [Verdict.ENDED]


async def test_an_append_to_a_deleted_turn_reports_that_it_is_gone(
    log: Log, turn: Turn, redis: Redis
) -> None:
    await redis.delete(keys.turn(turn.id))

    assert log.append([slices(turn.id, first=3, texts=["a"])]) == [Verdict.GONE]


async def test_one_refused_turn_does_not_stop_the_others_of_its_step(
    log: Log, turn_client: TurnClient, queue: TurnQueue, make_turn: MakeTurn, turn: Turn
) -> None:
    other = await submitted(turn_client, make_turn())
    queue.claim(1)

    verdicts = log.append(
        [
            slices(turn.id, attempt=7, first=3, texts=["late"]),
            slices(other.id, first=3, texts=["a"]),
            ending(turn.id, first=3),
        ]
    )

    assert verdicts == [Verdict.STALE, Verdict.OK, Verdict.OK]


async def test_an_ended_turn_has_no_lease_and_its_log_expires(
    log: Log, turn: Turn, redis: Redis
) -> None:
    assert await redis.zscore(keys.leases(), turn.id) is not None

    log.append([ending(turn.id, first=3)])

    assert await redis.zscore(keys.leases(), turn.id) is None
    assert 0 < await redis.ttl(keys.log(turn.id)) <= 900


async def test_after_a_rollback_the_worker_that_lost_its_turn_cannot_write_under_the_same_attempt(
    log: Log, turn: Turn, redis: Redis
) -> None:
    await redis.hset(keys.turn(turn.id), "worker", "w1")

    assert log.append([slices(turn.id, first=3, texts=["late"])]) == [Verdict.STALE]


async def test_a_stale_worker_cannot_write_after_another_has_claimed_the_turn(
    log: Log, turn: Turn, redis: Redis
) -> None:
    await redis.hset(keys.turn(turn.id), "attempt", 2)

    assert log.append([slices(turn.id, attempt=1, first=3, texts=["late"])]) == [Verdict.STALE]
    assert log.append([slices(turn.id, attempt=2, first=3, texts=["right"])]) == [Verdict.OK]


@pytest.mark.parametrize("readers", [True, False])
async def test_the_next_attempt_gets_the_logprobs_of_the_log_exactly(
    log: Log, turn: Turn, redis: Redis, make_queue: MakeQueue, readers: bool
) -> None:
    if not readers:  # as for a batch line, whose events are not kept
        await redis.hset(keys.turn(turn.id), "nodes", "-")  # type: ignore[misc]
    values = (TokenLogprobs(-0.1234567890123), TokenLogprobs(-1e-9, ((7, -0.1), (2, -3.25))))
    entries = (Entry('{"n":"x"}'), Entry('{"n":"a"}', (3, 4), values), Entry('{"n":"b"}', (5,)))
    written = Append(id=turn.id, attempt=1, first=3, entries=entries, final=Requeued())
    other = slices("resp_none", first=3, texts=["a"])

    assert log.append([other, written, other]) == [Verdict.GONE, Verdict.OK, Verdict.GONE]

    claimed = make_queue("w1").claim(1)
    assert claimed is not None
    assert claimed.token_ids == (3, 4, 5)
    assert claimed.logprobs == values


async def test_an_entry_without_logprobs_has_no_field_for_them(
    log: Log, turn: Turn, redis: Redis
) -> None:
    log.append([slices(turn.id, first=3, texts=["a"])])
    [(_, fields)] = await redis.xrange(keys.log(turn.id), "4-0")
    assert set(fields) == {b"event", b"token_ids"}
