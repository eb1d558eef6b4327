"""How a claimed turn is submitted to the engine."""

import time
from collections.abc import Sequence
from threading import Event, current_thread
from typing import Any, cast

import pytest

from turnstream.prompts.tools import CALL_FORMATS, ToolFormat
from turnstream.turns.constraint import Constraint
from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Claimed, Item, Message, Request, Tier
from turnstream.workers import claimer as claimer_module
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.cache_scope import CacheScope
from turnstream.workers.claimer import Claimer
from turnstream.workers.engine import OnLogprobs, OnStep
from turnstream.workers.shown_tokens import Vocabulary
from turnstream.workers.slicer import Slicer
from turnstream.workers.tool_use import ToolUse


class OneTurn:
    """A queue with one turn in it."""

    others_wait = False

    def __init__(
        self, tier: Tier = "default", messages: tuple[Item, ...] = (Message("user", "Hi"),)
    ) -> None:
        request = Request(
            instructions=None, sampling=SamplingParams(temperature=0, top_p=1, seed=0)
        )
        turn = Claimed(
            id="resp_1",
            attempt=1,
            seq=2,
            request=request,
            messages=messages,
            response="{}",
            token_ids=(),
            tier=tier,
            owner="ann",
        )
        self._turn = turn
        self._waiting = [turn]

    def put_back(self) -> None:
        self._waiting = [self._turn]

    def claim(self, free_slots: int) -> Claimed | None:
        return self._waiting.pop() if self._waiting else None


class FakeEngine:
    """An engine that records submitted turns and computes nothing."""

    context = 100
    cached_tokens = 0
    short_of_memory = False

    def __init__(self) -> None:
        self.low_priority: list[bool] = []
        self.cache: list[CacheScope] = []

    def healthy(self) -> bool:
        return True

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int,
        low_priority: bool,
        on_logprobs: OnLogprobs,
        cache: CacheScope,
        constraint: Constraint | None,
    ) -> "FakeEngine":
        self.low_priority.append(low_priority)
        self.cache.append(cache)
        return self


class Idle:
    def wake(self) -> None:
        pass

    def write_after_step(self) -> None:
        pass

    def ids(self, messages: object, request: object, *, limit: int) -> list[int]:
        return [1, 2]


def no_tools(table: ByteTable) -> ToolUse:
    return ToolUse(
        CALL_FORMATS[ToolFormat.TURNSTREAM],
        control_ids={},
        make_slicer=lambda ids, stop, *, begun=False: Slicer(table, stop=stop),
        vocabulary=Vocabulary(table, []),
    )


@pytest.mark.parametrize(
    ("tier", "low_priority"),
    [("priority", False), ("default", False), ("flex", False), ("batch", True)],
)
def test_only_batch_turns_have_low_priority(tier: Tier, low_priority: bool) -> None:
    engine, idle = FakeEngine(), cast(Any, Idle())
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    claimer = Claimer(
        cast(Any, OneTurn(tier)),
        ActiveTurns(4),
        idle,
        cast(Any, engine),
        idle,
        lambda ids, stop, *, begun=False: Slicer(table, stop=stop),
        Vocabulary(table, []),
        no_tools(table),
    )

    claimer.wake_up()

    assert engine.low_priority == [low_priority]
    # Every prompt of this prompter is the same, so nothing in it is an owner's own.
    assert engine.cache == [CacheScope("ann", public_tokens=2)]


def test_what_the_control_channel_claims_is_started_by_the_claimers_own_thread() -> None:
    started_by: list[str] = []

    class Watched(FakeEngine):
        def submit(self, *args: Any, **kwargs: Any) -> FakeEngine:
            started_by.append(current_thread().name)
            return super().submit(*args, **kwargs)

    idle, queue = cast(Any, Idle()), OneTurn()
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    claimer = Claimer(
        cast(Any, queue),
        ActiveTurns(1),
        idle,
        cast(Any, Watched()),
        idle,
        lambda ids, stop, *, begun=False: Slicer(table, stop=stop),
        Vocabulary(table, []),
        no_tools(table),
    )

    claimer.claim_one()
    left = queue.claim(1)
    # A turn that is claimed and not started has the only slot.
    queue.put_back()
    claimer.claim_one()
    claimer.stop_claiming()
    claimer.start()
    claimer.stop()

    assert left is None
    assert queue.claim(1) is not None
    assert started_by == ["claimer"]


@pytest.mark.parametrize(("others_wait", "claims"), [(False, 2), (True, 3)])
def test_after_the_control_channel_the_claimers_thread_claims_only_if_others_wait(
    others_wait: bool, claims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claimer_module, "HEARTBEAT_SECONDS", 60.0)
    started = Event()

    class Queue(OneTurn):
        def __init__(self) -> None:
            super().__init__()
            self.others_wait = others_wait
            self._waiting = []
            self.claims = 0

        def claim(self, free_slots: int) -> Claimed | None:
            self.claims += 1
            return super().claim(free_slots)

        def reach(self, claims: int) -> None:
            deadline = time.monotonic() + 30
            while self.claims < claims:
                assert time.monotonic() < deadline
                time.sleep(0.001)

    class Watched(FakeEngine):
        def submit(self, *args: Any, **kwargs: Any) -> FakeEngine:
            started.set()
            return super().submit(*args, **kwargs)

    idle, queue = cast(Any, Idle()), Queue()
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    claimer = Claimer(
        cast(Any, queue),
        ActiveTurns(2),
        idle,
        cast(Any, Watched()),
        idle,
        lambda ids, stop, *, begun=False: Slicer(table, stop=stop),
        Vocabulary(table, []),
        no_tools(table),
    )

    claimer.start()
    queue.reach(1)  # the thread claims once when it begins
    queue.put_back()
    claimer.claim_one()
    assert started.wait(30)
    queue.reach(claims)
    claimer.stop()

    assert queue.claims == claims


def test_an_engine_that_is_short_of_memory_is_given_no_turn() -> None:
    noted: list[str] = []

    class Queue(OneTurn):
        def claim(self, free_slots: int) -> Claimed | None:
            noted.append("claim")
            return super().claim(free_slots)

        def note_full(self) -> None:
            noted.append("full")

    engine, idle = FakeEngine(), cast(Any, Idle())
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    claimer = Claimer(
        cast(Any, Queue()),
        ActiveTurns(4),
        idle,
        cast(Any, engine),
        idle,
        lambda ids, stop, *, begun=False: Slicer(table, stop=stop),
        Vocabulary(table, []),
        no_tools(table),
    )

    engine.short_of_memory = True
    claimer.wake_up()
    claimer.wake_up()
    assert noted == ["full"]
    engine.short_of_memory = False
    claimer.wake_up()
    assert noted == ["full", "claim", "claim"]
    assert len(engine.low_priority) == 1
    engine.short_of_memory = True
    claimer.wake_up()
    assert noted[3:] == ["full"]


@pytest.mark.parametrize(
    ("last", "begun"),
    [
        (Message("user", "Hi"), False),
        (Message("assistant", "Once upon"), True),
        # The prompt ends before the space, which the answer then repeats.
        (Message("assistant", "Once upon "), False),
    ],
)
def test_an_answer_keeps_the_white_space_with_which_it_goes_on(last: Message, begun: bool) -> None:
    idle = cast(Any, Idle())
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    made: list[bool] = []

    def make_slicer(ids: Sequence[int], stop: Sequence[str], *, begun: bool = False) -> Slicer:
        made.append(begun)
        return Slicer(table, stop=stop, begun=begun)

    queue = cast(Any, OneTurn(messages=(last,)))
    engine = cast(Any, FakeEngine())
    vocabulary = Vocabulary(table, [])
    tools = no_tools(table)
    Claimer(queue, ActiveTurns(4), idle, engine, idle, make_slicer, vocabulary, tools).wake_up()

    assert made == [begun]
