"""A low-priority turn skips steps with a first token of others, and gets the same answer."""

import random

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.listener import Listener, answer, start
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engines.slot_engine import SlotEngine

PROMPT = [1, 5, 6]


def greedy(max_tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0)


def text(length: int) -> list[int]:
    rng = random.Random(9)
    return [1, *(rng.randrange(4, tiny_llama.VOCABULARY) for _ in range(length - 1))]


class TwoTurns:
    """Record which of two turns gets a token in which step."""

    def __init__(self, prompt: list[int], *, low_priority: bool) -> None:
        self.steps: list[set[str]] = [set()]
        self._prompt = prompt
        self._low_priority = low_priority
        self._second: Listener | None = None

    def after_step(self) -> None:
        self.steps.append(set())

    def run(self, engine: SlotEngine) -> list[int]:
        """Answer both turns; return the first one's ids."""
        first = Listener(lambda listener: self._first_token(engine, listener))
        first.taken(engine.submit(PROMPT, greedy(30), first, low_priority=self._low_priority))
        first.wait()
        assert self._second is not None
        self._second.wait()
        assert self._second.ids
        return first.ids

    def after_arrival(self) -> list[set[str]]:
        """Return who got a token in each step after the second turn's arrival."""
        # The first turn has a token in every step, and the second arrives at its fourth.
        return self.steps[4:]

    def _first_token(self, engine: SlotEngine, first: Listener) -> None:
        self.steps[-1].add("first")
        if len(first.ids) == 4:
            self._second = start(engine, self._prompt, greedy(5), self._second_token)

    def _second_token(self, _: Listener) -> None:
        self.steps[-1].add("second")


def token_steps(
    make_engine: MakeEngine, prompt: list[int], *, low_priority: bool
) -> list[set[str]]:
    turns = TwoTurns(prompt, low_priority=low_priority)
    # Without running ahead, each step delivers its own tokens.
    engine = make_engine(slots=2, prompt_tokens=16, after_step=turns.after_step, ahead=False)
    assert turns.run(engine) == answer(engine, PROMPT, greedy(30))
    return turns.after_arrival()


def test_a_low_priority_turn_skips_the_step_that_prefills_a_short_prompt(
    make_engine: MakeEngine,
) -> None:
    steps = token_steps(make_engine, text(10), low_priority=True)
    assert steps[:3] == [{"second"}, {"first", "second"}, {"first", "second"}]


def test_any_other_turn_gets_a_token_in_the_step_that_prefills_a_prompt(
    make_engine: MakeEngine,
) -> None:
    steps = token_steps(make_engine, text(10), low_priority=False)
    assert steps[:2] == [{"first", "second"}, {"first", "second"}]


def test_a_low_priority_turn_never_skips_two_steps_in_a_row(make_engine: MakeEngine) -> None:
    # Prefilled in five chunks.
    steps = token_steps(make_engine, text(80), low_priority=True)
    assert steps[:6] == [set(), {"first"}, set(), {"first"}, {"second"}, {"first", "second"}]
