"""Where memory is short turns wait for it, in a just order, and no answer is changed by that."""

import random
from typing import Any

import pytest

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.listener import Listener, answer, start
from tests.workers.plain_recorder import PlainRecorder
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import Finish, FinishReason
from turnstream.workers.engines.scheduler import SlotTurn
from turnstream.workers.engines.slot_cache import PAGE_TOKENS
from turnstream.workers.engines.slot_engine import SlotEngine

CONTEXT = 128
LENGTH = Finish(FinishReason.LENGTH)


@pytest.fixture
def page(way: dict[str, Any]) -> int:
    """How many tokens of memory a slot takes at once."""
    return PlainRecorder.page_tokens if "recorder" in way else PAGE_TOKENS


@pytest.fixture
def short(make_engine: MakeEngine, page: int) -> SlotEngine:
    """An engine with four slots and memory for a context and a few pages."""
    return make_engine(slots=4, context=CONTEXT, kv_tokens=CONTEXT + 3 * page)


def text(length: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [1, *(rng.randrange(4, tiny_llama.VOCABULARY) for _ in range(length - 1))]


def greedy(max_tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0)


def submit(
    engine: SlotEngine, prompt: list[int], sampling: SamplingParams, *, low_priority: bool = False
) -> tuple[Listener, SlotTurn]:
    listener = Listener()
    return listener, engine.submit(
        prompt,
        sampling,
        listener,
        low_priority=low_priority,
        on_logprobs=listener.logprobs.extend,
    )


def test_turns_that_need_more_memory_than_there_is_get_their_whole_answers(
    make_engine: MakeEngine, short: SlotEngine
) -> None:
    settings = [
        greedy(60),
        SamplingParams(max_tokens=60, temperature=0.9, top_p=0.9, seed=3, top_logprobs=2),
        SamplingParams(max_tokens=60, temperature=1.0, seed=4, frequency_penalty=0.8),
        SamplingParams(max_tokens=60, temperature=0, repetition_penalty=1.3, min_tokens=50),
        SamplingParams(max_tokens=60, temperature=0.5, top_k=20, seed=5, presence_penalty=0.5),
    ]
    prompts = [text(50 + n, seed=n) for n in range(len(settings))]
    turns = [
        submit(short, prompt, sampling, low_priority=n % 3 == 2)
        for n, (prompt, sampling) in enumerate(zip(prompts, settings, strict=True))
    ]
    assert [listener.wait() for listener, _ in turns] == [LENGTH] * len(turns)
    assert any(turn.put_back for _, turn in turns)
    ample = make_engine(slots=len(settings), context=CONTEXT)
    others = [start(ample, *asked) for asked in zip(prompts, settings, strict=True)]
    for expected, (listener, _) in zip(others, turns, strict=True):
        expected.wait()
        assert listener.ids == expected.ids
        assert len(listener.logprobs) == len(expected.logprobs)
        assert not listener.calls_after_finish
    assert short.free_slots == 4
    assert not short.short_of_memory


def test_the_oldest_turn_is_never_put_back_and_the_youngest_is_first(short: SlotEngine) -> None:
    turns = [submit(short, text(30, seed=n), greedy(90)) for n in range(3)]
    for listener, _ in turns:
        listener.wait()
    assert not turns[0][1].put_back
    assert turns[-1][1].put_back


def test_a_low_priority_turn_is_put_back_before_a_younger_one(short: SlotEngine) -> None:
    batch = submit(short, text(30, seed=1), greedy(90), low_priority=True)
    people = [submit(short, text(30, seed=n), greedy(60)) for n in (2, 3)]
    for listener, _ in (batch, *people):
        assert listener.wait() == LENGTH
    assert batch[1].put_back
    assert not people[0][1].put_back


def test_a_turn_does_not_wait_for_one_of_low_priority(make_engine: MakeEngine, page: int) -> None:
    # Both together do not fit.
    engine = make_engine(slots=2, context=CONTEXT, kv_tokens=CONTEXT + page)
    people: list[Listener] = []
    batch_ids: list[int] = []

    def join(listener: Listener) -> None:
        if len(listener.ids) == 40:
            people.append(Listener())
            engine.submit(text(100, seed=2), greedy(5), people[0])
        if not people or not people[0].finishes:
            batch_ids.extend(listener.ids[len(batch_ids) :])

    batch = Listener(join)
    turn = engine.submit(text(40, seed=1), greedy(80), batch, low_priority=True)
    assert batch.wait() == LENGTH
    assert people[0].wait() == LENGTH
    assert turn.put_back
    assert len(batch_ids) < 45


def test_a_turn_that_was_put_back_can_be_cancelled(short: SlotEngine) -> None:
    turns: list[tuple[Listener, SlotTurn]] = []

    def cancel(_: Listener) -> None:
        for _, turn in turns:
            if turn.put_back and turn.slot is None:
                turn.cancel()

    oldest = start(short, text(40, seed=9), greedy(80), cancel)
    turns += [submit(short, text(40, seed=n), greedy(80)) for n in range(3)]
    assert oldest.wait() == LENGTH
    assert FinishReason.CANCELLED in [listener.wait().reason for listener, _ in turns]
    assert short.free_slots == 4
    assert not short.short_of_memory


def test_an_engine_says_when_it_is_short_of_memory(short: SlotEngine) -> None:
    seen: list[bool] = []
    assert not short.short_of_memory
    turns = [
        start(short, text(40, seed=n), greedy(80), lambda _: seen.append(short.short_of_memory))
        for n in range(4)
    ]
    for turn in turns:
        turn.wait()
    assert True in seen
    assert not short.short_of_memory


def test_an_engine_with_memory_for_all_slots_is_never_short_of_it(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=3, context=64)
    seen: list[bool] = []
    turns = [
        start(engine, text(20, seed=n), greedy(40), lambda _: seen.append(engine.short_of_memory))
        for n in range(2)
    ]
    for turn in turns:
        turn.wait()
    assert not any(seen)


def test_what_is_remembered_is_forgotten_for_new_turns(
    make_engine: MakeEngine, short: SlotEngine
) -> None:
    prompts = [text(70, seed=n) for n in (1, 2, 3, 1)]
    found = [answer(short, prompt, greedy(10)) for prompt in prompts]
    ample = make_engine(slots=1, context=CONTEXT)
    assert found == [answer(ample, prompt, greedy(10)) for prompt in prompts]
