"""The estimated wait compared with the real one, under changing load on a simulated clock.

The scripts are the real ones on a real Redis; only what they take for the time is simulated.
"""

import heapq
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

import pytest
from redis import Redis

from tests.effort import examples
from tests.turns.conftest import MODEL, MakeTurn
from turnstream.turns import keys, lua
from turnstream.turns.connection import connect
from turnstream.turns.limits import Limits
from turnstream.turns.log import Append, Entry, Final, Log, Requeued
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import submission
from turnstream.turns.turn import Claimed
from turnstream.turns.wake_up import WakeUp

NOW = "simulated:now"
#: Long enough for two overloads, in `make test-long`; else for one.
MINUTES = examples(35, 60)
SLOTS = 4
WORKERS = ("w0", "w1")
STEP_MS = 50
#: How long turns of each tier take, in the median; each is drawn anew.
TAKES_MS = {"priority": 4_000, "default": 8_000, "flex": 8_000, "batch": 15_000}


@pytest.fixture
def clock(settings: TurnSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A client whose Redis uses `NOW` as its time."""
    real = lua.source

    def simulated(name: str, prefix: str = "") -> str:
        before, _, after = real(name, prefix).partition("local function now_ms()")
        mine = f"local function now_ms() return tonumber(redis.call('GET', '{NOW}')) end\n"
        return before + mine + "local function real_ms()" + after

    monkeypatch.setattr(lua, "source", simulated)
    with connect(settings.redis_url) as client:
        yield client


@dataclass(slots=True)
class Estimate:
    """The first estimate for a turn and its real wait, in seconds."""

    tier: str
    eta: float | None
    submitted_at: int
    waited: float | None = None


@dataclass
class Hour:
    """A node, two workers and their turns."""

    client: Redis
    settings: TurnSettings
    make_turn: MakeTurn
    draw: random.Random
    estimates: dict[str, Estimate] = field(default_factory=dict)
    running: dict[str, tuple[str, Claimed]] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)
    #: The pending calls, by time and order.
    events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    now: int = 1_800_000_000_000

    def __post_init__(self) -> None:
        self.order = itertools.count()
        self.wake_up = WakeUp()
        self.submit = lua.Script(self.client, "submit")
        self.queues = {
            name: TurnQueue(self.client, self.settings, model=MODEL, worker=name)
            for name in WORKERS
        }
        self.logs = {name: Log(self.client, self.settings, worker=name) for name in WORKERS}

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (int(when), next(self.order), what))

    def run(self) -> None:
        end = self.now + MINUTES * 60_000
        while self.events and self.events[0][0] < end:
            self.now, _, what = heapq.heappop(self.events)
            self.client.set(NOW, self.now)
            what()

    def heartbeat(self) -> None:
        for name, queue in self.queues.items():
            running = [(c.id, c.attempt) for worker, c in self.running.values() if worker == name]
            queue.heartbeat(running, {}, slots=SLOTS)
        self.at(self.now + 1000, self.heartbeat)

    def submit_turn(self, tier: str, owner: str) -> None:
        turn = self.make_turn(tier=tier, owner=owner)
        answer = self.submit(**submission(turn, self.settings, Limits(), self.wake_up, node="n"))
        queue = json.loads(answer[2])["queue"]  # type: ignore[index]
        self.estimates[turn.id] = Estimate(tier, queue["eta_seconds"], self.now)
        self.work[turn.id] = TAKES_MS[tier] * self.draw.lognormvariate(0, 0.6)
        for name in WORKERS:
            self.fill(name)
        for id in self.client.zrange(keys.preempted(MODEL), 0, -1):
            self.at(self.now + STEP_MS, partial(self.requeue, id.decode()))

    def fill(self, name: str) -> None:
        while (free := SLOTS - sum(worker == name for worker, _ in self.running.values())) > 0:
            claimed = self.queues[name].claim(free)
            if claimed is None:
                return
            estimate = self.estimates[claimed.id]
            if estimate.waited is None:
                estimate.waited = (self.now - estimate.submitted_at) / 1000
            self.running[claimed.id] = (name, claimed)
            self.at(
                self.now + self.work[claimed.id],
                partial(self.end, name, claimed),
            )

    def end(self, name: str, claimed: Claimed) -> None:
        if self.running.get(claimed.id) != (name, claimed):
            return
        del self.running[claimed.id]
        final = Final(status="completed", error="null", response='"id":"x"}', text="")
        self.write(name, claimed, final)
        self.fill(name)

    def requeue(self, id: str) -> None:
        if id not in self.running:
            return
        name, claimed = self.running.pop(id)
        self.write(name, claimed, Requeued())
        self.fill(name)

    def write(self, name: str, claimed: Claimed, final: Final | Requeued) -> None:
        entries = (Entry("{}"),) if isinstance(final, Final) else ()
        part = Append(
            id=claimed.id,
            attempt=claimed.attempt,
            first=claimed.seq + 1,
            entries=entries,
            final=final,
        )
        assert self.logs[name].append([part]) == ["ok"]


def load(hour: Hour) -> None:
    """Submit turns at changing rates, up to an overload, and batches."""
    draw = hour.draw
    owners = [f"o{n}" for n in range(8)]
    when = float(hour.now)
    # Slots answer some 0.85 turns a second.
    for minutes, per_second in ((10, 0.5), (10, 1.3), (15, 0.4), (10, 1.1), (15, 0.5)):
        until = when + minutes * 60_000
        while (when := when + draw.expovariate(per_second / 1000)) < until:
            tier = draw.choices(("priority", "default", "flex"), (15, 70, 15))[0]
            owner = draw.choice(owners)
            hour.at(when, partial(hour.submit_turn, tier, owner))
        when = until
    for minute, owner in ((3, "bulk"), (30, "other bulk")):
        start = hour.now + minute * 60_000
        for _ in range(150):
            hour.at(start, partial(hour.submit_turn, "batch", owner))
    # One owner submits many at once.
    for _ in range(60):
        hour.at(hour.now + 22 * 60_000, partial(hour.submit_turn, "default", "o1"))


async def test_under_changing_load_a_wait_is_within_a_third_of_the_first_estimate(
    clock: Redis, settings: TurnSettings, make_turn: MakeTurn
) -> None:
    hour = Hour(clock, replace(settings, unread_seconds=86_400), make_turn, random.Random(1))
    hour.client.set(NOW, hour.now)
    hour.heartbeat()
    load(hour)
    hour.run()

    # Turns that need not wait are left out: they would only lower the median.
    waits = [
        (estimate.tier, estimate.eta, estimate.waited)
        for estimate in hour.estimates.values()
        if estimate.eta is not None
        and estimate.waited is not None
        and max(estimate.eta, estimate.waited) > 1
    ]
    assert len(waits) > examples(1200, 2000)
    # Batch turns are left out: they wait for turns that are not submitted yet.
    for tiers in (tuple(TAKES_MS), ("default",), ("flex",)):
        off = [abs(waited - eta) / max(waited, 1) for tier, eta, waited in waits if tier in tiers]
        assert median(off) <= 0.35, tiers


async def test_the_estimate_is_null_until_a_turn_has_been_answered(
    clock: Redis, settings: TurnSettings, make_turn: MakeTurn
) -> None:
    hour = Hour(clock, settings, make_turn, random.Random(0))
    hour.client.set(NOW, hour.now)
    hour.submit_turn("default", "ann")
    assert [estimate.eta for estimate in hour.estimates.values()] == [None]
    hour.heartbeat()
    for name in WORKERS:
        hour.fill(name)
    for n in range(20):
        hour.submit_turn("default", f"o{n}")

    # With a free slot the wait is 0. Without an answered turn there is no estimate.
    etas = [estimate.eta for estimate in hour.estimates.values()]
    assert etas[1:8] == [0.0] * 7
    assert etas[8:] == [None] * 13
    hour.run()
    hour.submit_turn("default", "last")
    assert list(hour.estimates.values())[-1].eta == 0.0
