"""The queue equals a model of its rules in Python: the same turn is next after any calls."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from harness.turn import new_turn
from tests.effort import examples
from tests.turns.conftest import MODEL, ending
from turnstream.turns import keys, lua
from turnstream.turns.connection import connect
from turnstream.turns.limits import Limits
from turnstream.turns.log import Append, Log, Requeued
from turnstream.turns.queue import TurnQueue
from turnstream.turns.settings import TurnSettings
from turnstream.turns.submission import submission
from turnstream.turns.turn import Claimed, Tier, Turn
from turnstream.turns.wake_up import WakeUp

TIERS: tuple[Tier, ...] = ("priority", "default", "flex", "batch")
OWNERS = ("ann", "bob", "eve")


@dataclass
class Rules:
    """The queue's rules: owners alternate, and tiers are strict but for the minimum share."""

    every: int
    #: Of each tier: tag, arrival, id.
    waiting: dict[Tier, list[tuple[int, int, str]]] = field(
        default_factory=lambda: {tier: [] for tier in TIERS}
    )
    clock: defaultdict[Tier, int] = field(default_factory=lambda: defaultdict(int))
    last_tag: dict[tuple[Tier, str], int] = field(default_factory=dict)
    served: defaultdict[Tier, int] = field(default_factory=lambda: defaultdict(int))
    claims: int = 0
    arrivals: int = 0
    batch_slots: set[str] = field(default_factory=set)

    def come(self, id: str, tier: Tier, owner: str) -> None:
        self.arrivals += 1
        tag = max(self.clock[tier], self.last_tag.get((tier, owner), 0)) + 1
        self.last_tag[tier, owner] = tag
        self.waiting[tier].append((tag, self.arrivals, id))

    def claim(self) -> str | None:
        tiers = [tier for tier in TIERS if self.waiting[tier]]
        if not tiers:
            return None
        tier = tiers[0]
        if (self.claims + 1) % self.every == 0:
            # The lowest tier first, if none was served before.
            others = [t for t in reversed(tiers[1:]) if t != "batch" or not self.batch_slots]
            tier = min(others, key=lambda t: self.served[t], default=tier)
        place = min(self.waiting[tier])
        self.waiting[tier].remove(place)
        self.clock[tier] = max(self.clock[tier], place[0])
        self.claims += 1
        self.served[tier] = self.claims
        if tier == "batch":
            self.batch_slots.add(place[2])
        return place[2]

    def stop(self, id: str, tier: Tier, owner: str) -> None:
        place = next(place for place in self.waiting[tier] if place[2] == id)
        self.waiting[tier].remove(place)
        if self.last_tag[tier, owner] == place[0]:
            self.last_tag[tier, owner] -= 1

    def requeue(self, id: str, tier: Tier, arrival: int) -> None:
        self.waiting[tier].append((0, arrival, id))
        self.batch_slots.discard(id)


#: Calls: submit, claim, cancel a waiting turn, end or requeue a running one. The number selects the
#: turn.
COMES = st.tuples(st.just("comes"), st.sampled_from(TIERS), st.sampled_from(OWNERS))
OTHERS = st.tuples(
    st.sampled_from(("claims", "claims", "claims", "stops", "ends", "requeued")),
    st.integers(0, 100),
    st.none(),
)


@pytest.fixture(scope="module")
def client(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


@settings(
    max_examples=examples(20, 50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    slots=st.sampled_from((1, 4, 10)),
    crowd=st.lists(COMES, min_size=20, max_size=40),
    steps=st.lists(st.one_of(COMES, OTHERS), max_size=40),
)
def test_after_any_sequence_of_calls_the_next_turn_is_the_models(
    client: Redis,
    redis_url: str,
    slots: int,
    crowd: list[tuple[str, object, object]],
    steps: list[tuple[str, object, object]],
) -> None:
    client.flushdb()
    ours = TurnSettings(redis_url=redis_url)
    queue = TurnQueue(client, ours, model=MODEL, worker="w0")
    log = Log(client, ours, worker="w0")
    submit, cancel = (lua.Script(client, name) for name in ("submit", "cancel"))
    wake_up, rules, numbers = WakeUp(), Rules(max(8, slots)), itertools.count(1)
    queue.heartbeat([], {}, slots=slots)
    made: dict[str, tuple[Turn, int]] = {}
    waiting: list[str] = []
    running: list[Claimed] = []

    # In the end every turn is claimed, so that each position is checked.
    last = [("claims", 0, None)] * (len(crowd) + len(steps))
    for what, which, owner in [*crowd, *steps, *last]:
        match what, which:
            case "comes", str(tier):
                turn = new_turn(model=MODEL, tier=tier, owner=str(owner))  # type: ignore[arg-type]
                assert submit(**submission(turn, ours, Limits(), wake_up, node="n"))[0] == b"ok"  # type: ignore[index]
                made[turn.id] = turn, next(numbers)
                rules.come(turn.id, turn.tier, turn.owner)
                waiting.append(turn.id)
            case "claims", _:
                expected, claimed = rules.claim(), queue.claim(1)
                assert (claimed and claimed.id) == expected
                if claimed is not None:
                    running.append(claimed)
                    if claimed.id in waiting:
                        waiting.remove(claimed.id)
            case "stops", int(n) if waiting:
                turn, _ = made[waiting.pop(n % len(waiting))]
                assert cancel(id=turn.id, owner=turn.owner, **ours.retention) == b"ok"
                rules.stop(turn.id, turn.tier, turn.owner)
            case "ends", int(n) if running:
                claimed = running.pop(n % len(running))
                end = ending(claimed.id, attempt=claimed.attempt, first=claimed.seq + 1)
                assert log.append([end]) == ["ok"]
                rules.batch_slots.discard(claimed.id)
            case "requeued", int(n) if running:
                claimed = running.pop(n % len(running))
                assert log.append([requeued(claimed)]) == ["ok"]
                turn, arrival = made[claimed.id]
                rules.requeue(turn.id, turn.tier, arrival)
        size = sum(map(len, rules.waiting.values()))
        assert sum(client.zcard(keys.queue(MODEL, tier)) for tier in TIERS) == size


def requeued(claimed: Claimed) -> Append:
    return Append(
        id=claimed.id,
        attempt=claimed.attempt,
        first=claimed.seq + 1,
        entries=(),
        final=Requeued(),
    )
