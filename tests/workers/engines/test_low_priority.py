"""A patient turn lets others have their first token sooner, and is answered all the same."""

import random

from tests import tiny_llama
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


class Meeting:
    """Somebody comes while a turn is being answered; notes who spoke in which step."""

    def __init__(self, prompt: list[int], *, low_priority: bool) -> None:
        self.steps: list[set[str]] = [set()]
        self._prompt = prompt
        self._low_priority = low_priority
        self._comer: Listener | None = None

    def after_step(self) -> None:
        self.steps.append(set())

    def run(self, engine: SlotEngine) -> list[int]:
        """Let both be answered; gives what the first one was told."""
        first = Listener(lambda listener: self._first_spoke(engine, listener))
        first.taken(engine.submit(PROMPT, greedy(30), first, low_priority=self._low_priority))
        first.wait()
        assert self._comer is not None
        self._comer.wait()
        assert self._comer.ids
        return first.ids

    def since_coming(self) -> list[set[str]]:
        """Give who spoke in each step after the one at whose end somebody came."""
        # The first one speaks from the first step on, and somebody comes at its fourth word.
        return self.steps[4:]

    def _first_spoke(self, engine: SlotEngine, first: Listener) -> None:
        self.steps[-1].add("first")
        if len(first.ids) == 4:
            self._comer = start(engine, self._prompt, greedy(5), self._comer_spoke)

    def _comer_spoke(self, _: Listener) -> None:
        self.steps[-1].add("comer")


def meet(make_engine: MakeEngine, prompt: list[int], *, low_priority: bool) -> list[set[str]]:
    meeting = Meeting(prompt, low_priority=low_priority)
    # So that each step tells itself what it took up.
    engine = make_engine(slots=2, prompt_tokens=16, after_step=meeting.after_step, ahead=False)
    assert meeting.run(engine) == answer(engine, PROMPT, greedy(30))
    return meeting.since_coming()


def test_a_low_priority_turn_sits_out_the_step_that_reads_a_short_prompt(
    make_engine: MakeEngine,
) -> None:
    steps = meet(make_engine, text(10), low_priority=True)
    assert steps[:3] == [{"comer"}, {"first", "comer"}, {"first", "comer"}]


def test_any_other_turn_speaks_in_the_step_that_reads_a_prompt(make_engine: MakeEngine) -> None:
    steps = meet(make_engine, text(10), low_priority=False)
    assert steps[:2] == [{"first", "comer"}, {"first", "comer"}]


def test_a_low_priority_turn_sits_out_no_two_steps_on_end(make_engine: MakeEngine) -> None:
    # Read in five pieces.
    steps = meet(make_engine, text(80), low_priority=True)
    assert steps[:6] == [set(), {"first"}, set(), {"first"}, {"comer"}, {"first", "comer"}]
