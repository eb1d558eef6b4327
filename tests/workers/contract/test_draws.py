"""A seed gives the same draws in any batch and in any attempt."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.effort import examples
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import greedy, prompts, seeded
from tests.workers.listener import Listener, answer, start
from turnstream.turns.sampling_params import SamplingParams


@pytest.mark.parametrize(
    "sampling",
    [
        greedy(40),
        seeded(40, 11),
        replace(
            seeded(40, 12),
            frequency_penalty=0.6,
            presence_penalty=0.4,
            repetition_penalty=1.2,
        ),
    ],
    ids=["greedy", "seeded", "penalised"],
)
def test_a_continued_turn_gets_the_same_tokens_at_any_cut(
    make_engine: MakeEngine, sampling: SamplingParams
) -> None:
    [prompt] = prompts(1, seed=5)
    whole = answer(make_engine(slots=1), prompt, sampling)
    assert len(whole) == 40
    engine = make_engine(slots=5)

    def resumed(cut: int) -> Listener:
        rest = replace(sampling, max_tokens=40 - cut)
        return start(engine, prompt + whole[:cut], rest, generated=cut)

    cuts = range(0, 40, examples(9, 1))
    for cut, listener in zip(cuts, map(resumed, cuts), strict=True):
        listener.wait()
        assert whole[:cut] + listener.ids == whole


def test_a_seed_draws_the_same_in_any_batch(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=6)
    [prompt, *others] = prompts(13, seed=6)
    alone = answer(engine, prompt, seeded(50, 42))
    for first in (0, 6):
        mates = [
            start(engine, other, seeded(60, n)) for n, other in enumerate(others[first : first + 5])
        ]
        assert answer(engine, prompt, seeded(50, 42)) == alone
        for mate in mates:
            mate.wait()


def test_no_draw_depends_on_the_batch_at_any_temperature(make_engine: MakeEngine) -> None:
    [prompt, *others] = prompts(9, seed=16, longest=30)
    hot = [
        SamplingParams(max_tokens=25, temperature=2, seed=seed) for seed in range(examples(3, 50))
    ]
    alone = make_engine(slots=1)
    expected = [answer(alone, prompt, sampling) for sampling in hot]
    engine = make_engine(slots=7)
    stopping = threading.Event()

    def keep_busy(other: list[int]) -> None:
        """Run short turns beside the others, in changing combinations."""
        for length in itertools.cycle((3, 11, 7, 2)):
            if stopping.is_set():
                return
            answer(engine, other, seeded(length + len(other) % 5, length))

    with ThreadPoolExecutor(len(others)) as pool:
        busy = [pool.submit(keep_busy, other) for other in others]
        try:
            among = [answer(engine, prompt, sampling) for sampling in hot]
        finally:
            stopping.set()
        for mate in busy:
            mate.result()
    assert among == expected


def test_another_seed_gives_other_draws(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=7)
    answers = {tuple(answer(engine, prompt, seeded(30, seed))) for seed in range(5)}
    assert len(answers) == 5
