"""What an engine is told of a turn that was claimed."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from turnstream.turns.sampling_params import SamplingParams
from turnstream.turns.turn import Claimed, Message, Request, Tier
from turnstream.workers.active_turns import ActiveTurns
from turnstream.workers.byte_table import ByteTable
from turnstream.workers.claimer import Claimer
from turnstream.workers.engine import OnStep
from turnstream.workers.slicer import Slicer


class OneTurn:
    """A line with one turn in it."""

    def __init__(self, tier: Tier) -> None:
        request = Request(
            instructions=None, sampling=SamplingParams(temperature=0, top_p=1, seed=0)
        )
        turn = Claimed(
            id="resp_1",
            attempt=1,
            seq=2,
            request=request,
            messages=(Message("user", "Hi"),),
            rest="{}",
            ids=(),
            tier=tier,
        )
        self._waiting = [turn]

    def claim(self, free_slots: int) -> Claimed | None:
        return self._waiting.pop() if self._waiting else None


class PatienceNoted:
    """An engine that is told of turns, and answers none."""

    context = 100
    cached_tokens = 0

    def __init__(self) -> None:
        self.low_priority: list[bool] = []

    def submit(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        on_step: OnStep,
        *,
        generated: int,
        low_priority: bool,
    ) -> "PatienceNoted":
        self.low_priority.append(low_priority)
        return self


class Idle:
    def wake(self) -> None:
        pass

    def ids(self, messages: object, request: object, *, limit: int) -> list[int]:
        return [1, 2]


@pytest.mark.parametrize(
    ("tier", "low_priority"),
    [("priority", False), ("default", False), ("flex", False), ("batch", True)],
)
def test_the_turns_of_a_batch_alone_are_patient(tier: Tier, low_priority: bool) -> None:
    engine, idle = PatienceNoted(), cast(Any, Idle())
    table = ByteTable.from_tokens(["<s>", "a", "b"], {0})
    claimer = Claimer(
        cast(Any, OneTurn(tier)),
        ActiveTurns(4),
        idle,
        cast(Any, engine),
        idle,
        lambda ids, stop: Slicer(table, stop=stop),
    )

    claimer.wake_up()

    assert engine.low_priority == [low_priority]
