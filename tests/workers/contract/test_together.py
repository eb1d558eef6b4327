"""Turns in one batch are neither lost nor mixed up."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from transformers import LlamaForCausalLM

from tests.effort import examples
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import CANCELLED, LENGTH, generated, greedy, prompts, seeded
from tests.workers.listener import TIMEOUT_SECONDS, Listener, answer, start
from turnstream.workers.cache_scope import CacheScope


def test_the_same_prompt_submitted_twice_is_two_turns(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=18)
    both = [start(engine, prompt, greedy(20)) for _ in range(2)]
    for turn in both:
        assert turn.wait() == LENGTH
        assert turn.ids == generated(reference, prompt, 20)


def test_after_step_follows_every_on_step_of_its_step(make_engine: MakeEngine) -> None:
    seen: list[str] = []
    steps: list[list[str]] = []

    def after_step() -> None:
        steps.append(seen.copy())
        seen.clear()

    engine = make_engine(after_step=after_step)
    both = threading.Event()

    def hold_until_both_are_there(listener: Listener) -> None:
        assert both.wait(TIMEOUT_SECONDS)
        seen.append("first")

    first = start(engine, [1, 5], greedy(6), hold_until_both_are_there)
    second = start(engine, [1, 6], greedy(6), lambda _: seen.append("second"))
    both.set()
    first.wait()
    second.wait()
    engine.stop(TIMEOUT_SECONDS)
    assert ["first", "second"] in steps
    assert all(len(step) == len(set(step)) for step in steps)
    assert seen == []


def test_many_random_turns_are_neither_lost_nor_mixed_up(make_engine: MakeEngine) -> None:
    count = examples(40, 500)
    rng = random.Random(10)
    queue = prompts(count, seed=10, longest=60)
    for n in range(0, count, 4):  # some share a prefix with an earlier one
        queue[n] = queue[n // 2][:30] + queue[n]
    samplings = [
        greedy(rng.randrange(1, 14)) if n % 3 else seeded(rng.randrange(1, 14), n)
        for n in range(count)
    ]
    one_by_one = make_engine(slots=1)
    expected = [answer(one_by_one, *turn) for turn in zip(queue, samplings, strict=True)]

    engine = make_engine(slots=8)
    cancelled = set(range(3, count, 17))

    def run(n: int) -> Listener:
        def cancel_at_two(listener: Listener) -> None:
            if n in cancelled and len(listener.ids) == 2:
                listener.cancel()

        listener = start(engine, queue[n], samplings[n], cancel_at_two)
        listener.wait()
        return listener

    with ThreadPoolExecutor(12) as pool:
        listeners = list(pool.map(run, range(count)))
    for n, listener in enumerate(listeners):
        assert len(listener.finishes) == 1
        assert listener.calls_after_finish == 0
        if listener.finishes == [CANCELLED]:
            assert n in cancelled
            assert listener.ids == expected[n][: len(listener.ids)]
        else:
            assert listener.ids == expected[n]
    engine.stop(TIMEOUT_SECONDS)
    assert engine.free_slots == 8


def test_an_owner_reuses_own_tokens_only_and_the_answer_is_the_same(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=31, longest=160)
    prompt = (prompt * 150)[:150]
    ann, bob = CacheScope(f"ann {id(engine)}"), CacheScope(f"bob {id(engine)}")
    cached = []
    for scope in (ann, bob, ann, bob):
        listener = Listener()
        handle = engine.submit(prompt, greedy(5), listener, cache=scope)
        listener.wait()
        cached.append(handle.cached_tokens)
        assert listener.ids == generated(reference, prompt, 5)
    assert cached[:2] == [0, 0]
    # In whole blocks, where an engine has them.
    assert min(cached[2:]) >= 128, cached
