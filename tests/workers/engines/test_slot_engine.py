"""`SlotEngine` beyond the contract: prefixes are computed once, NaN stays in its turn."""

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.listener import Listener, answer, start
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import FinishReason
from turnstream.workers.engines import sampler
from turnstream.workers.engines.scheduler import SlotTurn
from turnstream.workers.engines.slot_engine import SlotEngine

#: Not among the tiny Llama's answers in these tests.
POISON = 3


def greedy(max_tokens: int) -> SamplingParams:
    return SamplingParams(max_tokens=max_tokens, temperature=0)


def history(length: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [1, *(rng.randrange(POISON + 1, tiny_llama.VOCABULARY) for _ in range(length - 1))]


def turn(engine: SlotEngine, prompt: list[int], max_tokens: int) -> tuple[list[int], SlotTurn]:
    """Run a turn to its end; return its ids and its handle."""
    listener = Listener()
    handle = engine.submit(prompt, greedy(max_tokens), listener)
    listener.taken(handle)
    listener.wait()
    return listener.ids, handle


def test_the_next_turn_of_a_conversation_computes_only_its_new_tokens(
    make_engine: MakeEngine,
) -> None:
    first = history(60, seed=1)
    engine = make_engine(slots=3)
    said, handle = turn(engine, first, 20)
    assert handle.cached_tokens == 0
    second = [*first, *said, 2, 1, 30, 31, 32]
    _, handle = turn(engine, second, 20)
    # The answer's last token was delivered, but not written to the cache.
    assert handle.cached_tokens == 60 + 20 - 1


def test_cached_tokens_do_not_change_the_answer(make_engine: MakeEngine) -> None:
    first = history(60, seed=1)
    engine = make_engine(slots=3)
    said, _ = turn(engine, first, 20)
    second = [*first, *said, 2, 1, 30, 31, 32]
    again, handle = turn(engine, second, 20)
    assert handle.cached_tokens > 0
    assert again == answer(make_engine(slots=1), second, greedy(20))


def test_a_shared_prefix_is_copied_from_a_running_turn(make_engine: MakeEngine) -> None:
    shared = history(40, seed=2)
    engine = make_engine(slots=2)
    prompt = [*shared, 5, 6, 7]
    mates: list[tuple[Listener, SlotTurn]] = []

    def join(listener: Listener) -> None:
        if len(listener.ids) == 3:
            mate = Listener()
            mates.append((mate, engine.submit(prompt, greedy(20), mate)))

    running = start(engine, [*shared, 8, 9], greedy(30), join)
    running.wait()
    [(mate, handle)] = mates
    mate.wait()
    assert handle.cached_tokens == 40
    other = make_engine(slots=1)
    assert mate.ids == answer(other, prompt, greedy(20))
    assert running.ids == answer(other, [*shared, 8, 9], greedy(30))


def test_a_repeated_prompt_gets_the_same_answer(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1)
    prompt = history(50, seed=3)
    first, _ = turn(engine, prompt, 10)
    second, handle = turn(engine, prompt, 10)
    assert handle.cached_tokens == 49
    assert first == second


def test_a_long_prompt_delays_others_by_one_chunk_per_step(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    sizes: list[int] = []
    model = _watched(reference, lambda tokens: sizes.append(tokens))
    # Recorded steps would count with their padding.
    engine = make_engine(slots=2, prompt_tokens=16, model=model, recorder=None)
    sizes.clear()

    def join(listener: Listener) -> None:
        if len(listener.ids) == 2:
            start(engine, history(200, seed=4), greedy(2))

    running = start(engine, [1, 5, 6], greedy(30), join)
    running.wait()
    engine.stop(10)
    assert max(sizes) == 16 + 1
    # One step for the first prompt, 200 / 16 for the second, with tokens of the first beside them.
    assert sizes.count(17) == 12


@pytest.fixture
def poisoned(tiny_llama_folder: Path) -> LlamaForCausalLM:
    """The tiny Llama with one token that makes all later logits NaN."""
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.float32).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight[POISON] = float("nan")
    return model


def test_only_the_turn_with_nan_logits_fails(
    make_engine: MakeEngine, poisoned: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=3, model=poisoned)
    good = history(30, seed=5)
    expected = answer(make_engine(slots=1), good, greedy(30))
    assert POISON not in expected
    mate = start(engine, good, greedy(30))
    failing = start(engine, [1, 5, POISON, 6], greedy(30))
    finish = failing.wait()
    assert finish.reason is FinishReason.ERROR
    assert "not a number" in finish.message
    mate.wait()
    assert mate.ids == expected


def test_a_slot_with_nan_is_cleared_for_its_next_turn(
    make_engine: MakeEngine, poisoned: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=2, model=poisoned)
    short, long = [1, 7, 8], history(60, seed=6)
    expected = answer(make_engine(slots=1), short, greedy(10))
    for sampling in (greedy(5), SamplingParams(max_tokens=5, temperature=1.0)):
        for _ in range(2):
            poison = start(engine, [*history(20, seed=7), POISON, *history(20, seed=8)], sampling)
            assert poison.wait().reason is FinishReason.ERROR
    # A short turn beside a long one attends, masked, to positions past its own end.
    joined = threading.Event()
    beside: list[Listener] = []

    def join(listener: Listener) -> None:
        if not beside:
            beside.append(start(engine, short, greedy(10)))
            joined.set()

    start(engine, long, greedy(30), join).wait()
    assert joined.wait(30)
    beside[0].wait()
    assert beside[0].ids == expected


def test_a_step_that_runs_out_of_memory_is_repeated_with_smaller_pieces(
    make_engine: MakeEngine, reference: LlamaForCausalLM, caplog: pytest.LogCaptureFixture
) -> None:
    def allocate(tokens: int) -> None:
        if tokens > 80:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    prompts = [history(150, seed=5), history(200, seed=6)]
    engine = make_engine(
        slots=2, prompt_tokens=128, model=_watched(reference, allocate), recorder=None
    )
    sampling = SamplingParams(max_tokens=20, temperature=0.9, seed=7, frequency_penalty=0.5)
    turns = [start(engine, prompt, sampling) for prompt in prompts]
    assert [turn.wait().reason for turn in turns] == [FinishReason.LENGTH] * 2
    other = make_engine(slots=1)
    assert [turn.ids for turn in turns] == [answer(other, prompt, sampling) for prompt in prompts]
    assert engine.healthy()
    assert "prompts are computed 64 tokens at a time from now on" in caplog.text


def test_an_engine_without_memory_for_any_step_dies(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    def allocate(_: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine = make_engine(model=_watched(reference, allocate), recorder=None)
    finish = start(engine, [1, 5, 6], greedy(5)).wait()
    # Unhealthy before the turn hears of it: so the turn is left to another worker.
    assert not engine.healthy()
    assert "out of memory" in finish.message


def test_a_draw_from_more_tokens_than_were_sorted_is_made_again(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [history(20 + 9 * n, seed=n) for n in range(4)]
    samplings = [
        SamplingParams(max_tokens=25, temperature=0.9, top_p=0.5 + n / 8, seed=n) for n in range(4)
    ]
    expected = [
        listener.ids
        for listener in _together(make_engine(slots=4), zip(prompts, samplings, strict=True))
    ]
    monkeypatch.setattr(sampler, "_known_at_once", lambda _: False)
    # About half of the draws need more.
    monkeypatch.setattr(sampler, "FIRST_SORTED", 20)
    undecided: list[int] = []
    choose = sampler.choose

    def watched(logits: torch.Tensor, requests: Sequence[sampler.TokenRequest]) -> torch.Tensor:
        ids = choose(logits, requests)
        undecided.append(int((ids == sampler.UNDECIDED).sum()))
        return ids

    monkeypatch.setattr(sampler, "choose", watched)
    again = _together(make_engine(slots=4), zip(prompts, samplings, strict=True))
    assert [listener.ids for listener in again] == expected
    assert 0 < sum(undecided) <= 4


def test_an_idle_engine_runs_no_steps(make_engine: MakeEngine) -> None:
    steps: list[None] = []
    # An engine that runs ahead has one more step, which only delivers the last ids.
    engine = make_engine(after_step=lambda: steps.append(None), ahead=False)
    answer(engine, [1, 5, 6], greedy(7))
    engine.stop(1)
    assert len(steps) == 7


def test_bfloat16_runs_too(make_engine: MakeEngine, tiny_llama_folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama_folder, dtype=torch.bfloat16).eval()
    engine = make_engine(slots=2, model=model)
    turns = [start(engine, history(60, seed=n), greedy(20)) for n in range(4)]
    for listener in turns:
        assert listener.wait().reason is FinishReason.LENGTH
        assert max(listener.ids) < tiny_llama.VOCABULARY


def _together(
    engine: SlotEngine, turns: Iterable[tuple[list[int], SamplingParams]]
) -> list[Listener]:
    listeners = [start(engine, *asked) for asked in turns]
    for listener in listeners:
        assert listener.wait().reason is FinishReason.LENGTH
    return listeners


def _watched(model: LlamaForCausalLM, tell: Callable[[int], None]) -> LlamaForCausalLM:
    """Return a copy of a model that records how many tokens each forward pass has."""
    copy = LlamaForCausalLM(deepcopy(model.config)).eval()
    copy.load_state_dict(model.state_dict())

    def before(_module: torch.nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
        tell(kwargs["input_ids"].shape[1])

    copy.model.register_forward_pre_hook(before, with_kwargs=True)
    return copy
