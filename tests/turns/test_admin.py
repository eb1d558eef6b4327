"""What an operator sees and does: workers, turns, and that nothing of what was said is shown."""

from collections.abc import Callable, Iterator

import pytest
import redis.asyncio

from tests.turns.conftest import MODEL, MakeTurn, ending, slices, submitted
from turnstream.turns.admin import Admin, UnknownWorker
from turnstream.turns.batch import Batch
from turnstream.turns.client import TurnClient
from turnstream.turns.connection import connect
from turnstream.turns.errors import BadRequest, ResponseNotFound
from turnstream.turns.log import Log, Verdict
from turnstream.turns.queue import LeaseStatus, TurnQueue
from turnstream.turns.settings import TurnSettings

ABOUT = {"created": 0, "context": 64, "temperature": 1.0, "top_p": 1.0}
MakeQueue = Callable[..., TurnQueue]


@pytest.fixture
def admin(settings: TurnSettings) -> Iterator[Admin]:
    with connect(settings.redis_url) as client:
        yield Admin(client, settings)


def live(make_queue: MakeQueue, worker: str) -> TurnQueue:
    """A worker with two free slots."""
    queue = make_queue(worker)
    queue.heartbeat([], ABOUT, slots=2)
    queue.claim(2)
    return queue


async def test_nodes_workers_and_batches_are_listed(
    turn_client: TurnClient, admin: Admin, make_queue: MakeQueue, batch: Batch
) -> None:
    await turn_client.relay.subscribed.wait()
    live(make_queue, "w0")
    live(make_queue, "w1")

    status = admin.status()

    assert status.nodes == ("node-1",)
    assert [(each.name, each.slots, each.free_slots, each.state) for each in status.workers] == [
        ("w0", 2, 2, "live"),
        ("w1", 2, 2, "live"),
    ]
    assert [(each.id, each.owner) for each in status.batches] == [(batch.id, "ann")]


async def test_a_draining_worker_claims_nothing_until_it_is_resumed(
    turn_client: TurnClient, admin: Admin, make_queue: MakeQueue, make_turn: MakeTurn
) -> None:
    queue = live(make_queue, "w0")
    assert admin.drain("w0").state == "draining"
    await submitted(turn_client, make_turn())

    assert queue.claim(2) is None
    assert admin.drain("w0", drain=False).state == "live"
    assert queue.claim(2) is not None


async def test_a_turn_wakes_another_worker_than_the_one_that_is_draining(
    turn_client: TurnClient,
    admin: Admin,
    make_queue: MakeQueue,
    make_turn: MakeTurn,
    redis: "redis.asyncio.Redis",
) -> None:
    live(make_queue, "w0")
    make_queue("w1").heartbeat([], ABOUT, slots=1)
    make_queue("w1").claim(1)
    admin.drain("w0")

    await submitted(turn_client, make_turn())

    assert await redis.llen(f"turns.{MODEL}.w0") == 0
    assert await redis.llen(f"turns.{MODEL}.w1") == 1
    [model] = admin.status().overview.models
    assert (model.workers, model.slots) == (1, 1)


async def test_a_worker_that_starts_is_not_draining_whatever_one_of_its_name_was(
    admin: Admin, make_queue: MakeQueue
) -> None:
    queue = live(make_queue, "w0")
    admin.drain("w0")

    queue.register()

    assert [each.state for each in admin.status().workers] == ["live"]


def test_a_worker_that_does_not_exist_cannot_be_drained(admin: Admin) -> None:
    with pytest.raises(UnknownWorker, match="no worker 'w7'"):
        admin.drain("w7")


async def test_two_workers_of_one_name_are_told_apart_by_their_model(
    settings: TurnSettings, admin: Admin, make_queue: MakeQueue
) -> None:
    live(make_queue, "w0")
    with connect(settings.redis_url) as client:
        TurnQueue(client, settings, model="other", worker="w0").heartbeat([], ABOUT, slots=1)

    with pytest.raises(UnknownWorker, match="--model"):
        admin.drain("w0")
    assert admin.drain("w0", "other").model == "other"


async def test_turns_are_listed_by_owner_and_state(
    turn_client: TurnClient, admin: Admin, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    ended = await submitted(turn_client, make_turn(owner="ann"))
    assert queue.claim(1) is not None
    assert log.append([ending(ended.id, first=3)]) == [Verdict.OK]
    running = await submitted(turn_client, make_turn(owner="ann"))
    assert queue.claim(1) is not None
    waiting = await submitted(turn_client, make_turn(owner="bob", tier="flex"))

    def ids(**options: object) -> set[str]:
        return {row.id for row in admin.turns(**options)}  # type: ignore[arg-type]

    assert ids() == {running.id, waiting.id}
    assert ids(owner="bob") == {waiting.id}
    assert ids(status="in_progress") == {running.id}
    assert ids(active=False) == {ended.id, running.id, waiting.id}
    assert ids(active=False, status="completed") == {ended.id}
    [row] = admin.turns(owner="bob")
    assert (row.tier, row.status, row.attempt, row.worker) == ("flex", "queued", "0", "")


@pytest.mark.parametrize("active", [True, False])
async def test_a_list_goes_on_over_many_pages_and_ends_at_its_limit(
    turn_client: TurnClient, admin: Admin, make_turn: MakeTurn, active: bool
) -> None:
    made = {(await submitted(turn_client, make_turn(owner=f"o{n % 7}"))).id for n in range(230)}

    listed = [row.id for row in admin.turns(active=active, limit=1000)]

    assert sorted(listed) == sorted(made)
    assert len(list(admin.turns(active=active, limit=120))) == 120


async def test_a_turn_is_shown_without_what_was_said(
    turn_client: TurnClient, admin: Admin, queue: TurnQueue, log: Log, make_turn: MakeTurn
) -> None:
    turn = await submitted(turn_client, make_turn("my secret question"))
    assert admin.turn(turn.id)["place"].startswith("1 1 ")
    queue.claim(1)
    log.append([ending(turn.id, first=3, text="a secret answer")])

    shown = admin.turn(turn.id)

    assert shown["status"] == "completed"
    assert shown["owner"] == "ann"
    assert shown["place"] == ""
    assert shown["seq"] == "3"
    assert "secret" not in str(shown)
    with pytest.raises(ResponseNotFound):
        admin.turn("resp_nobody")


async def test_a_waiting_turn_is_cancelled_whoever_it_belongs_to(
    turn_client: TurnClient, admin: Admin, make_turn: MakeTurn
) -> None:
    turn = await submitted(turn_client, make_turn(owner="bob"))

    admin.cancel(turn.id)

    assert admin.turn(turn.id)["status"] == "cancelled"
    with pytest.raises(BadRequest, match="ended already"):
        admin.cancel(turn.id)


async def test_a_turn_that_is_taken_from_its_worker_goes_on_at_another(
    turn_client: TurnClient,
    admin: Admin,
    make_queue: MakeQueue,
    log: Log,
    make_turn: MakeTurn,
) -> None:
    turn = await submitted(turn_client, make_turn())
    with pytest.raises(BadRequest, match="No worker has"):
        admin.requeue(turn.id)
    first, second = make_queue("w0"), make_queue("w1")
    assert first.claim(1) is not None
    assert log.append([slices(turn.id, first=3, texts=["a"])]) == [Verdict.OK]

    admin.requeue(turn.id)

    # Its worker learns of it, and can write nothing more.
    assert first.heartbeat([(turn.id, 1)], ABOUT, slots=1) == [LeaseStatus.LOST]
    assert log.append([slices(turn.id, first=4, texts=["b"])]) == [Verdict.STALE]
    claimed = second.claim(1)
    assert claimed is not None
    assert (claimed.id, claimed.attempt, claimed.token_ids) == (turn.id, 2, (3,))
