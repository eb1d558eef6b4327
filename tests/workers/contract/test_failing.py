"""What is asked wrongly, or fails, harms only itself; when the engine fails, every turn hears."""

import threading

import pytest
from transformers import LlamaForCausalLM

from tests import tiny_llama
from tests.workers.conftest import MakeEngine
from tests.workers.contract.asking import generated, greedy, prompts
from tests.workers.listener import Listener, start
from turnstream.turns.sampling_params import SamplingParams
from turnstream.workers.engine import BadPrompt, EngineDead, FinishReason


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


def test_no_more_can_have_been_generated_than_the_prompt_has(make_engine: MakeEngine) -> None:
    with pytest.raises(BadPrompt, match="generated"):
        start(make_engine(), [1, 5], greedy(5), generated=3)


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


def test_when_the_loop_dies_every_turn_ends_once_in_error(make_engine: MakeEngine) -> None:
    dying = threading.Event()

    def after_step() -> None:
        if dying.is_set():
            raise RuntimeError("the roof fell in")

    engine = make_engine(slots=2, after_step=after_step)
    # Two that run, one that waits for a slot.
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
    ],
)
def test_sampling_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        SamplingParams(**{"max_tokens": 5, field: value})
