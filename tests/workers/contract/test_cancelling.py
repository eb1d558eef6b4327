"""A cancelled turn finishes once, within a step, and frees its slot."""

from pathlib import Path

from transformers import LlamaForCausalLM

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import CANCELLED, LENGTH, generated, greedy, prompts
from tests.workers.listener import Listener, answer, start
from turnstream.workers.engines.slicing import slicers
from turnstream.workers.engines.tokenizer import load_tokenizer
from turnstream.workers.slicer import IdSlicer


def test_a_turn_cancelled_before_its_first_token_has_no_ids(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2)
    early: list[Listener] = []

    def start_and_cancel(listener: Listener) -> None:
        # On the engine's own thread, so that no step runs in between.
        if len(listener.ids) == 2:
            early.append(start(engine, [1, 5, 6], greedy(50)))
            early[0].cancel()

    running = start(engine, [1, 9, 8], greedy(6), start_and_cancel)
    assert running.wait() == LENGTH
    assert early[0].wait() == CANCELLED
    assert early[0].ids == []


def test_a_turn_that_waits_for_a_slot_can_be_cancelled(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1)
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


def test_a_turn_cancelled_during_prefill_has_no_ids_and_frees_its_slot(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine(slots=2, prompt_tokens=16)
    [long] = prompts(1, seed=17, longest=200)
    long = (long * 200)[:200]  # a dozen steps of prefill
    reading: list[Listener] = []
    ended_at: list[int] = []

    def cancel_while_it_reads(listener: Listener) -> None:
        step = len(listener.ids)
        if step == 2:
            reading.append(start(engine, long, greedy(5)))
        if step == 5:
            assert engine.free_slots == 0
            reading[0].cancel()
        if step > 5 and not ended_at:
            ended_at.append(step)
            assert reading[0].finishes == [CANCELLED]
            assert engine.free_slots == 1

    running = start(engine, [1, 9, 8], greedy(12), cancel_while_it_reads)
    assert running.wait() == LENGTH
    assert (reading[0].ids, reading[0].finishes, ended_at) == ([], [CANCELLED], [6])
    assert answer(engine, long, greedy(5)) == generated(reference, long, 5)


def test_a_turn_cancelled_at_its_first_token_has_delivered_it(make_engine: MakeEngine) -> None:
    engine = make_engine()
    turn = start(engine, [1, 30, 31], greedy(50), Listener.cancel)
    assert turn.wait() == CANCELLED
    assert len(turn.ids) == 1


def test_a_stop_string_across_two_tokens_ends_the_text_before_itself(
    make_engine: MakeEngine, tiny_llama_folder: Path, reference: LlamaForCausalLM
) -> None:
    tokenizer = load_tokenizer(tiny_llama_folder, size=tiny_llama.VOCABULARY, eos_ids=frozenset())
    begin = slicers(tokenizer)
    for prompt in prompts(4, seed=19):
        whole = generated(reference, prompt, 30)
        reader = begin(prompt, ())
        pieces = [reader.feed([id]) for id in whole]
        # The end of one token's text and the start of the next one's.
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


def test_a_turn_cancelled_during_its_answer_finishes_within_a_step(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def cancel_at_five(listener: Listener) -> None:
        if len(listener.ids) == 5:
            listener.cancel()

    mate = start(engine, [1, 20, 21, 22], greedy(30))
    listener = start(engine, [1, 30, 31], greedy(100), cancel_at_five)
    assert listener.wait() == CANCELLED
    assert len(listener.ids) <= 6
    assert mate.wait() == LENGTH


def test_a_second_or_late_cancel_does_not_finish_again(make_engine: MakeEngine) -> None:
    engine = make_engine()

    def cancel_twice(listener: Listener) -> None:
        listener.cancel()
        listener.cancel()

    twice = start(engine, [1, 30, 31], greedy(100), cancel_twice)
    late = start(engine, [1, 40], greedy(3))
    assert twice.wait() == CANCELLED
    assert late.wait() == LENGTH
    late.cancel()
    answer(engine, [1, 50], greedy(3))  # more steps, in which a second finish would show
    assert (twice.finishes, late.finishes) == ([CANCELLED], [LENGTH])
    assert twice.calls_after_finish == late.calls_after_finish == 0
