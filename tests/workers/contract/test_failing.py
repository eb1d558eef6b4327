"""A bad prompt or a failing listener ends only its own turn; a failing engine ends all."""

import threading

import pytest
from transformers import LlamaForCausalLM

from harness import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import generated, greedy, prompts
from tests.workers.listener import Listener, start
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import BadPrompt, EngineDead, FinishReason


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ([], "empty"),
        ([1, tiny_llama.VOCABULARY], "outside the vocabulary"),
        ([1, -1], "outside the vocabulary"),
        ([1] * tiny_llama.CONTEXT, "no room"),
    ],
    ids=["empty", "past the vocabulary", "negative", "too long"],
)
def test_a_bad_prompt_is_refused_and_other_turns_continue(
    make_engine: MakeEngine, reference: LlamaForCausalLM, prompt: list[int], reason: str
) -> None:
    engine = make_engine()
    [good] = prompts(1, seed=8)
    running = start(engine, good, greedy(30))
    with pytest.raises(BadPrompt, match=reason):
        start(engine, prompt, greedy(5))
    running.wait()
    assert running.ids == generated(reference, good, 30)
    assert engine.healthy()


def test_more_generated_ids_than_the_prompt_has_are_refused(make_engine: MakeEngine) -> None:
    with pytest.raises(BadPrompt, match="generated"):
        start(make_engine(), [1, 5], greedy(5), generated=3)


def test_a_listener_that_fails_ends_only_its_own_turn(
    make_engine: MakeEngine, reference: LlamaForCausalLM
) -> None:
    engine = make_engine()
    [good] = prompts(1, seed=9)

    def fail(listener: Listener) -> None:
        raise LookupError("broken listener")

    running = start(engine, good, greedy(30))
    failing = start(engine, [1, 5], greedy(30), fail)
    assert failing.wait().reason is FinishReason.ERROR
    running.wait()
    assert running.ids == generated(reference, good, 30)
    assert len(failing.finishes) == 1


def test_when_the_step_loop_dies_every_turn_finishes_once_with_an_error(
    make_engine: MakeEngine,
) -> None:
    dying = threading.Event()

    def after_step() -> None:
        if dying.is_set():
            raise RuntimeError("out of memory")

    engine = make_engine(slots=2, after_step=after_step)
    # Two run, one waits for a slot.
    turns = [start(engine, [1, 5, n], greedy(200)) for n in (10, 11, 12)]
    assert engine.healthy()
    dying.set()
    for turn in turns:
        finish = turn.wait()
        assert finish.reason is FinishReason.ERROR
        assert "out of memory" in finish.message
    engine.stop(0)
    assert not engine.healthy()
    with pytest.raises(EngineDead, match="out of memory"):
        start(engine, [1, 5], greedy(5))
    assert [len(turn.finishes) for turn in turns] == [1, 1, 1]
    assert [turn.calls_after_finish for turn in turns] == [0, 0, 0]


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
        ("logit_bias", ((7, 100.5),)),
        ("logit_bias", ((7, float("nan")),)),
        ("min_tokens", -1),
        ("min_tokens", 6),
        ("top_logprobs", -1),
        ("top_logprobs", 21),
    ],
)
def test_sampling_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        SamplingParams(**{"max_tokens": 5, field: value})
