"""What every engine promises, held against the model as transformers alone runs it, in float32."""

import itertools
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from tests import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.listener import PATIENCE_SECONDS, Listener, answer, start
from workers.engine import BadPrompt, EngineDead, Finish, FinishReason, Sampling
from workers.engines.slicing import slicers
from workers.engines.tokenizer import load_tokenizer
from workers.slicer import IdSlicer

CANCELLED = Finish(FinishReason.CANCELLED)
LENGTH = Finish(FinishReason.LENGTH)
STOP = Finish(FinishReason.STOP)


def prompts(count: int, *, seed: int, longest: int = 90) -> list[list[int]]:
    """Return random prompts, short ones and ones that take several steps to read."""
    rng = random.Random(seed)
    return [
        [1, *(rng.randrange(3, tiny_llama.VOCABULARY) for _ in range(rng.randrange(1, longest)))]
        for _ in range(count)
    ]


def greedy(max_tokens: int) -> Sampling:
    return Sampling(max_tokens=max_tokens, temperature=0)


def seeded(max_tokens: int, seed: int) -> Sampling:
    return Sampling(max_tokens=max_tokens, temperature=0.9, top_p=0.95, top_k=200, seed=seed)


def generated(
    model: LlamaForCausalLM, prompt: Sequence[int], max_tokens: int, **settings: float
) -> list[int]:
    """Return what transformers' own loop answers."""
    output = model.generate(
        torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False, **settings
    )
    return output[0, len(prompt) :].tolist()


def test_greedy_alone_equals_generate(make_engine: MakeEngine, reference: LlamaForCausalLM) -> None:
    engine = make_engine()
    for prompt in prompts(4, seed=1):
        assert answer(engine, prompt, greedy(40)) == generated(reference, prompt, 40)


def test_greedy_among_others_equals_generate(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(rows=3)
    queue = prompts(10, seed=2)
    listeners: list[Listener] = []
    all_started = threading.Event()

    def start_next(listener: Listener | None = None) -> None:
        """Let the next turn join when the one before it has said three tokens."""
        if listener is None or len(listener.ids) == 3:
            if len(listeners) < len(queue):
                listeners.append(Listener(start_next))
                engine.submit(queue[len(listeners) - 1], greedy(30), listeners[-1])
            else:
                all_started.set()

    start_next()
    assert all_started.wait(PATIENCE_SECONDS)
    for prompt, listener in zip(queue, listeners, strict=True):
        assert listener.wait() == LENGTH
        assert listener.ids == generated(reference, prompt, 30)


def test_an_answer_stops_before_its_eos(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=3)
    spoken = generated(reference, prompt, 40)
    eos = spoken[20]
    engine = make_engine(eos_ids=frozenset({eos}))
    listener = start(engine, prompt, greedy(40))
    assert listener.wait() == STOP
    assert listener.ids == spoken[: spoken.index(eos)]


def test_an_answer_ends_with_the_context(make_engine: MakeEngine) -> None:
    engine = make_engine(context=64)
    [prompt] = prompts(1, seed=4, longest=40)
    listener = start(engine, prompt, greedy(500))
    assert listener.wait() == LENGTH
    assert len(prompt) + len(listener.ids) == 64


def test_a_prompt_may_leave_room_for_one_token_only(make_engine: MakeEngine) -> None:
    engine = make_engine(context=64)
    assert len(answer(engine, [1] + [7] * 62, greedy(5))) == 1


def test_a_penalty_on_repetition_is_what_generate_calls_so(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    penalised = Sampling(max_tokens=40, temperature=0, repetition_penalty=1.4)
    for prompt in prompts(3, seed=14):
        mate = start(engine, prompt, greedy(40))
        said = answer(engine, prompt, penalised)
        assert said == generated(reference, prompt, 40, repetition_penalty=1.4)
        mate.wait()
        assert mate.ids == generated(reference, prompt, 40) != said


def test_frequency_and_presence_are_counted_over_the_answer_alone(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    [prompt] = prompts(1, seed=15)
    prompt = prompt + generated(reference, prompt, 40)  # so that it holds what will be said
    penalised = Sampling(max_tokens=40, temperature=0, frequency_penalty=1.5, presence_penalty=0.7)
    said = answer(make_engine(), prompt, penalised)

    expected: list[int] = []
    for _ in range(40):
        logits = reference(torch.tensor([prompt + expected])).logits[0, -1]
        for id in set(expected):
            logits[id] -= 1.5 * expected.count(id) + 0.7
        expected.append(int(logits.argmax()))
    assert said == expected != generated(reference, prompt, 40)


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
def test_a_turn_resumed_at_any_cut_goes_on_the_same(
    make_engine: MakeEngine, sampling: Sampling
) -> None:
    [prompt] = prompts(1, seed=5)
    whole = answer(make_engine(rows=1), prompt, sampling)
    assert len(whole) == 40
    engine = make_engine(rows=5)

    def resumed(cut: int) -> Listener:
        rest = replace(sampling, max_tokens=40 - cut, answered=cut)
        return start(engine, prompt + whole[:cut], rest)

    for cut, listener in enumerate([resumed(cut) for cut in range(40)]):
        listener.wait()
        assert whole[:cut] + listener.ids == whole


def test_a_seed_draws_the_same_whoever_is_in_the_batch(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=6)
    [prompt, *others] = prompts(13, seed=6)
    alone = answer(engine, prompt, seeded(50, 42))
    for first in (0, 6):
        mates = [
            start(engine, other, seeded(60, n)) for n, other in enumerate(others[first : first + 5])
        ]
        assert answer(engine, prompt, seeded(50, 42)) == alone
        for mate in mates:
            mate.wait()


def test_no_draw_however_hot_hangs_on_the_batch(make_engine: MakeEngine) -> None:
    [prompt, *others] = prompts(9, seed=16, longest=30)
    hot = [Sampling(max_tokens=25, temperature=2, seed=seed) for seed in range(50)]
    alone = make_engine(rows=1)
    expected = [answer(alone, prompt, sampling) for sampling in hot]
    engine = make_engine(rows=7)
    stopping = threading.Event()

    def keep_busy(other: list[int]) -> None:
        """Come and go beside the others, never the same two together for long."""
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


def test_another_seed_draws_something_else(make_engine: MakeEngine) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=7)
    answers = {tuple(answer(engine, prompt, seeded(30, seed))) for seed in range(5)}
    assert len(answers) == 5


def test_a_turn_cancelled_before_its_first_token_says_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=2)
    early: list[Listener] = []

    def start_and_cancel(listener: Listener) -> None:
        # On the engine's own thread, so that no step can come in between.
        if len(listener.ids) == 2:
            early.append(start(engine, [1, 5, 6], greedy(50)))
            early[0].cancel()

    running = start(engine, [1, 9, 8], greedy(6), start_and_cancel)
    assert running.wait() == LENGTH
    assert early[0].wait() == CANCELLED
    assert early[0].ids == []


def test_a_turn_that_waits_for_a_row_can_be_cancelled(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=1)
    waiting: list[Listener] = []
    told_at: list[int] = []

    def start_and_cancel(listener: Listener) -> None:
        if len(listener.ids) == 2:
            waiting.append(start(engine, [1, 5, 6], greedy(50)))
            waiting[0].cancel()
        if waiting and waiting[0].finishes and not told_at:
            told_at.append(len(listener.ids))

    running = start(engine, [1, 9, 8], greedy(10), start_and_cancel)
    running.wait()
    assert waiting[0].wait() == CANCELLED
    assert told_at == [3]


def test_a_turn_cancelled_amid_its_prompt_says_nothing_and_frees_its_row(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(rows=2, prompt_tokens=16)
    [long] = prompts(1, seed=17, longest=200)
    long = (long * 200)[:200]  # some dozen steps to read
    reading: list[Listener] = []
    ended_at: list[int] = []

    def cancel_while_it_reads(listener: Listener) -> None:
        step = len(listener.ids)
        if step == 2:
            reading.append(start(engine, long, greedy(5)))
        if step == 5:
            assert engine.free_rows == 0
            reading[0].cancel()
        if step > 5 and not ended_at:
            ended_at.append(step)
            assert reading[0].finishes == [CANCELLED]
            assert engine.free_rows == 1

    running = start(engine, [1, 9, 8], greedy(12), cancel_while_it_reads)
    assert running.wait() == LENGTH
    assert (reading[0].ids, reading[0].finishes, ended_at) == ([], [CANCELLED], [6])
    assert answer(engine, long, greedy(5)) == generated(reference, long, 5)


def test_a_turn_cancelled_at_its_first_token_has_told_it_before(make_engine: MakeEngine) -> None:
    engine = make_engine()
    turn = start(engine, [1, 30, 31], greedy(50), Listener.cancel)
    assert turn.wait() == CANCELLED
    assert len(turn.ids) == 1


def test_a_turn_asked_twice_at_once_is_two_turns(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [prompt] = prompts(1, seed=18)
    both = [start(engine, prompt, greedy(20)) for _ in range(2)]
    for turn in both:
        assert turn.wait() == LENGTH
        assert turn.ids == generated(reference, prompt, 20)


def test_a_stop_string_across_a_tokens_border_ends_the_answer_before_itself(
    make_engine: MakeEngine, tiny_llama_folder: Path, reference: LlamaForCausalLM
) -> None:
    tokenizer = load_tokenizer(tiny_llama_folder, size=tiny_llama.VOCABULARY, eos_ids=frozenset())
    begin = slicers(tokenizer)
    for prompt in prompts(4, seed=19):
        whole = generated(reference, prompt, 30)
        reader = begin(prompt, ())
        pieces = [reader.feed([id]) for id in whole]
        # The end of one token's text and the beginning of the next one's.
        border = next(n for n in range(5, 29) if pieces[n] and pieces[n + 1])
        stop = pieces[border][-1] + pieces[border + 1][0]
        slicer = begin(prompt, (stop,))
        text: list[str] = []
        engine = make_engine()

        def show(listener: Listener, slicer: IdSlicer = slicer, text: list[str] = text) -> None:
            text.append(slicer.feed(listener.ids[-1:]))
            if slicer.stopped:
                listener.cancel()

        turn = start(engine, prompt, greedy(30), show)
        turn.wait()
        said = "".join(pieces)
        assert stop in said
        assert "".join(text) == said[: said.index(stop)]
        assert turn.finishes == [CANCELLED]


def test_a_turn_cancelled_midway_ends_within_a_step(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def cancel_at_five(listener: Listener) -> None:
        if len(listener.ids) == 5:
            listener.cancel()

    mate = start(engine, [1, 20, 21, 22], greedy(30))
    listener = start(engine, [1, 30, 31], greedy(100), cancel_at_five)
    assert listener.wait() == CANCELLED
    assert len(listener.ids) <= 6
    assert mate.wait() == LENGTH


def test_cancelling_twice_or_too_late_finishes_once(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def cancel_twice(listener: Listener) -> None:
        listener.cancel()
        listener.cancel()

    twice = start(engine, [1, 30, 31], greedy(100), cancel_twice)
    late = start(engine, [1, 40], greedy(3))
    assert twice.wait() == CANCELLED
    assert late.wait() == LENGTH
    late.cancel()
    answer(engine, [1, 50], greedy(3))  # some more steps, for a second finish to show up in
    assert (twice.finishes, late.finishes) == ([CANCELLED], [LENGTH])
    assert twice.calls_after_finish == late.calls_after_finish == 0


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ([], "empty"),
        ([1, tiny_llama.VOCABULARY], "outside the vocabulary"),
        ([1, -1], "outside the vocabulary"),
        ([1] * tiny_llama.CONTEXT, "no room"),
    ],
    ids=["empty", "past the vocabulary", "negative", "too long"],
)
def test_a_bad_prompt_harms_only_itself(
    make_engine: MakeEngine, reference: LlamaForCausalLM, prompt: list[int], says: str
) -> None:
    engine = make_engine()
    [good] = prompts(1, seed=8)
    running = start(engine, good, greedy(30))
    with pytest.raises(BadPrompt, match=says):
        start(engine, prompt, greedy(5))
    running.wait()
    assert running.ids == generated(reference, good, 30)
    assert engine.healthy()


def test_no_more_can_be_answered_than_the_prompt_has(make_engine: MakeEngine) -> None:
    with pytest.raises(BadPrompt, match="answered"):
        start(make_engine(), [1, 5], replace(greedy(5), answered=3))


def test_a_listener_that_fails_ends_only_its_own_turn(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [good] = prompts(1, seed=9)

    def fail(listener: Listener) -> None:
        raise LookupError("nobody home")

    running = start(engine, good, greedy(30))
    failing = start(engine, [1, 5], greedy(30), fail)
    assert failing.wait().reason is FinishReason.ERROR
    running.wait()
    assert running.ids == generated(reference, good, 30)
    assert len(failing.finishes) == 1


def test_after_step_follows_every_on_step_of_its_step(make_engine: MakeEngine) -> None:
    seen: list[str] = []
    steps: list[list[str]] = []

    def after_step() -> None:
        steps.append(seen.copy())
        seen.clear()

    engine = make_engine(after_step=after_step)
    both = threading.Event()

    def hold_until_both_are_there(listener: Listener) -> None:
        assert both.wait(PATIENCE_SECONDS)
        seen.append("first")

    first = start(engine, [1, 5], greedy(6), hold_until_both_are_there)
    second = start(engine, [1, 6], greedy(6), lambda _: seen.append("second"))
    both.set()
    first.wait()
    second.wait()
    engine.stop(PATIENCE_SECONDS)
    assert ["first", "second"] in steps
    assert all(len(step) == len(set(step)) for step in steps)
    assert seen == []


def test_when_the_loop_dies_every_turn_ends_once_in_error(make_engine: MakeEngine) -> None:
    dying = threading.Event()

    def after_step() -> None:
        if dying.is_set():
            raise RuntimeError("the roof fell in")

    engine = make_engine(rows=2, after_step=after_step)
    # Two that run, one that waits for a row.
    turns = [start(engine, [1, 5, n], greedy(200)) for n in (10, 11, 12)]
    assert engine.healthy()
    dying.set()
    for turn in turns:
        finish = turn.wait()
        assert finish.reason is FinishReason.ERROR
        assert "the roof fell in" in finish.message
    engine.stop(0)
    assert not engine.healthy()
    with pytest.raises(EngineDead, match="the roof fell in"):
        start(engine, [1, 5], greedy(5))
    assert [len(turn.finishes) for turn in turns] == [1, 1, 1]
    assert [turn.calls_after_finish for turn in turns] == [0, 0, 0]


def test_five_hundred_random_turns_are_neither_lost_nor_mixed_up(make_engine: MakeEngine) -> None:
    rng = random.Random(10)
    queue = prompts(500, seed=10, longest=60)
    for n in range(0, 500, 4):  # some carry on where another one began
        queue[n] = queue[n // 2][:30] + queue[n]
    samplings = [
        greedy(rng.randrange(1, 14)) if n % 3 else seeded(rng.randrange(1, 14), n)
        for n in range(500)
    ]
    one_by_one = make_engine(rows=1)
    expected = [answer(one_by_one, *turn) for turn in zip(queue, samplings, strict=True)]

    engine = make_engine(rows=8)
    cancelled = set(range(3, 500, 17))

    def run(n: int) -> Listener:
        def cancel_at_two(listener: Listener) -> None:
            if n in cancelled and len(listener.ids) == 2:
                listener.cancel()

        listener = start(engine, queue[n], samplings[n], cancel_at_two)
        listener.wait()
        return listener

    with ThreadPoolExecutor(12) as pool:
        listeners = list(pool.map(run, range(500)))
    for n, listener in enumerate(listeners):
        assert len(listener.finishes) == 1
        assert listener.calls_after_finish == 0
        if listener.finishes == [CANCELLED]:
            assert n in cancelled
            assert listener.ids == expected[n][: len(listener.ids)]
        else:
            assert listener.ids == expected[n]
    engine.stop(PATIENCE_SECONDS)
    assert engine.free_rows == 8


def test_stop_lets_what_runs_come_to_its_end(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(rows=2)
    queue = prompts(5, seed=12)
    turns = [start(engine, prompt, greedy(30)) for prompt in queue]
    engine.stop(PATIENCE_SECONDS)
    assert [turn.finishes for turn in turns] == [[LENGTH]] * 5
    assert [turn.ids for turn in turns] == [generated(reference, prompt, 30) for prompt in queue]


def test_stop_cancels_what_runs_too_long(make_engine: MakeEngine) -> None:
    engine = make_engine(rows=2)
    turns = [start(engine, [1, 5, n], greedy(250)) for n in range(10, 15)]
    engine.stop(0)
    assert [turn.finishes for turn in turns] == [[CANCELLED]] * 5


def test_a_stopped_engine_takes_no_turn_and_leaves_no_thread(make_engine: MakeEngine) -> None:
    before = threading.active_count()
    engine = make_engine()
    assert engine.healthy()
    engine.stop(1)
    engine.stop(1)
    assert not engine.healthy()
    assert threading.active_count() == before
    with pytest.raises(EngineDead, match="stopped"):
        start(engine, [1, 5], greedy(5))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 1.5),
        ("top_p", float("nan")),
        ("top_k", -1),
        ("frequency_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("presence_penalty", float("nan")),
        ("repetition_penalty", 0),
        ("repetition_penalty", -1.0),
        ("repetition_penalty", float("inf")),
        ("answered", -1),
    ],
)
def test_sampling_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        Sampling(**{"max_tokens": 5, field: value})
