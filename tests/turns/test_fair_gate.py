"""Owners take turns at the gate, whatever each of them sends at once."""

import asyncio
from contextlib import suppress

import pytest

from tests.turns.conftest import MakeTurn, submitted
from turnstream.turns.client import TurnClient
from turnstream.turns.errors import RateLimited, ResponseNotFound
from turnstream.turns.fair_gate import FairGate
from turnstream.turns.ids import new_response_id


class Visits:
    """Starts visits that stay inside until they are let out."""

    def __init__(self, gate: FairGate) -> None:
        self._gate = gate
        self.inside: list[str] = []
        self.order: list[str] = []
        self._out: dict[str, asyncio.Event] = {}

    def start(self, name: str) -> "asyncio.Task[None]":
        self._out[name] = asyncio.Event()
        return asyncio.create_task(self._visit(name))

    def let_out(self, name: str) -> None:
        self._out[name].set()

    async def _visit(self, name: str) -> None:
        async with self._gate.admitted(name.partition("-")[0]):
            self.inside.append(name)
            self.order.append(name)
            try:
                await self._out[name].wait()
            finally:
                self.inside.remove(name)


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_owner_never_takes_all_places() -> None:
    visits = Visits(FairGate(total=4, each=2))
    tasks = [visits.start(f"ann-{n}") for n in range(10)]
    await settled()
    tasks.append(visits.start("bob-0"))
    await settled()

    assert visits.inside == ["ann-0", "ann-1", "bob-0"]
    for task in tasks:
        task.cancel()


async def test_a_place_that_becomes_free_goes_to_the_next_owner_in_rotation() -> None:
    visits = Visits(FairGate(total=1, each=1))
    tasks = [visits.start(f"ann-{n}") for n in range(3)]
    tasks += [visits.start(f"bob-{n}") for n in range(2)]
    tasks.append(visits.start("cid-0"))
    await settled()
    for _ in tasks:
        visits.let_out(visits.inside[0])
        await settled()
    await asyncio.gather(*tasks)

    assert visits.order == ["ann-0", "ann-1", "bob-0", "cid-0", "ann-2", "bob-1"]


@pytest.mark.parametrize("when", ["waiting", "admitted", "inside"])
async def test_a_visit_that_is_cancelled_leaves_no_place_taken(when: str) -> None:
    visits = Visits(FairGate(total=1, each=1))
    first = visits.start("ann-0")
    await settled()
    second = visits.start("bob-0")
    await settled()
    if when == "inside":
        first.cancel()
    else:
        if when == "admitted":
            # Its place is granted, but it has not run since.
            visits.let_out("ann-0")
            while not visits._gate._inside["bob"]:
                await asyncio.sleep(0)
        second.cancel()
        visits.let_out("ann-0")
    with suppress(asyncio.CancelledError):
        await asyncio.gather(first, second) if when != "inside" else await first
    third = visits.start("cid-0")
    visits.let_out("bob-0")
    await settled()

    assert visits.inside == ["cid-0"]
    third.cancel()


async def test_an_owner_with_too_many_waiting_is_refused_and_others_are_not() -> None:
    gate = FairGate(total=1, each=1, waiting=2)
    visits = Visits(gate)
    tasks = [visits.start(f"ann-{n}") for n in range(3)]
    await settled()

    with pytest.raises(RateLimited):
        async with gate.admitted("ann"):
            pass
    tasks.append(visits.start("bob-0"))
    visits.let_out("ann-0")
    visits.let_out("ann-1")
    await settled()

    assert visits.inside == ["bob-0"]
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("what", ["submits", "reads"])
async def test_a_burst_of_an_owner_delays_no_other_owners_submit_and_read(
    turn_client: TurnClient, make_turn: MakeTurn, what: str
) -> None:
    anns = await submitted(turn_client, make_turn(owner="ann"))
    bobs = await submitted(turn_client, make_turn(owner="bob"))
    done = 0

    async def one() -> None:
        nonlocal done
        if what == "submits":
            await submitted(turn_client, make_turn("x" * 5_000, owner="ann"))
        else:
            async with turn_client.follow(anns.id, "ann", after=-1):
                pass
        done += 1

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(400):
            tasks.create_task(one())
        await asyncio.sleep(0)
        await submitted(turn_client, make_turn(owner="bob"))
        async with turn_client.follow(bobs.id, "bob", after=-1):
            pass
        before_bob = done

    assert done == 400
    assert before_bob < 100


async def test_a_burst_of_one_owners_reads_is_not_answered_before_anothers_read(
    turn_client: TurnClient,
) -> None:
    answered: list[str] = []

    async def look_up(owner: str) -> None:
        with pytest.raises(ResponseNotFound):
            await turn_client.stored.response(new_response_id(), owner)
        answered.append(owner)

    async with asyncio.timeout(60):
        await asyncio.gather(*(look_up("ann") for _ in range(300)), look_up("bob"))

    assert len(answered) == 301
    assert answered.index("bob") < 60
